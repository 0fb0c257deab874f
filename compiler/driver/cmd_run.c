// weir run: tensors in, tensors out. Several steps of one session, in order: each is a job with the options that stand
// behind its name, and the sessions go from job to job.
#include <stdlib.h>
#include <string.h>

#include "compiler/driver/model.h"
#include "compiler/driver/tensors.h"
#include "compiler/plan/steps.h"

enum { SMALL = 64 };  // elements: outputs up to this size are printed

enum { MOST_JOBS = 32, MOST_GROWING = 16 };

typedef struct {
  cli *c;
  cli_model *model;
  int first, end;      // options that are its own, of those given
  const char *prefix;  // of names of outputs: "" where it is the only one
  const weir_entry *entry;
  weir_entry_info info;
  int request_count;
  cli_tensor *inputs, *outputs;  // request by request
  weir_view *input_views, *output_views;
  weir_request *requests;
  bool *written;  // outputs that went to files
  double run_seconds;
} run_job;

// The |n|th value of an option of the job's own; null past the end.
static const char *own_text(const run_job *job, const char *key, int n) {
  for (int i = job->first; i < job->end; i++) {
    if (!strcmp(job->c->given[i].option->key, key) && n-- == 0) return job->c->given[i].text;
  }
  return NULL;
}

static bool ends_with(const char *text, const char *end) {
  size_t a = strlen(text), b = strlen(end);
  return a >= b && !strcmp(text + a - b, end);
}

static int find_input(const run_job *job, const char *name, size_t length) {
  for (int i = 0; i < job->info.input_count; i++) {
    const char *known = weir_entry_input(job->entry, i).name;
    if (strlen(known) == length && !memcmp(known, name, length)) return i;
  }
  return -1;
}

static int unknown_name(run_job *job, const char *what, const char *name, bool input) {
  int count = input ? job->info.input_count : job->info.output_count;
  const char *names = "";
  for (int i = 0; i < count; i++) {
    weir_tensor_info info = input ? weir_entry_input(job->entry, i) : weir_entry_output(job->entry, i);
    names = weir_arena_printf(&job->c->arena, "%s%s%s", names, i ? ", " : "", info.name);
  }
  return cli_usage(job->c, "entry %s has no %s '%s'; it has %s", job->info.name, what, name, names);
}

// ---- inputs

// What is given for each input, in order: request after request.
typedef struct {
  cli_tensor *tensors;
  int count, capacity;
} given_input;

static int take_tensor(run_job *job, given_input *given, int index, cli_tensor tensor) {
  WEIR_PUSH(&job->c->arena, given[index].tensors, given[index].count, given[index].capacity, tensor);
  return CLI_DONE;
}

static int take_npz(run_job *job, given_input *given, const char *path) {
  import_npz npz;
  weir_status status = import_npz_read(path, (size_t)1 << 34, &npz);
  if (status) return cli_fail(job->c, status);
  int code = CLI_DONE;
  for (int i = 0; i < job->info.input_count && !code; i++) {
    weir_tensor_info info = weir_entry_input(job->entry, i);
    const weir_npy *array = import_npz_find(&npz, info.name);
    if (!array) {
      code = cli_error(job->c, "%s has no array '%s'", path, info.name);
      break;
    }
    cli_tensor tensor;
    code =
        cli_fail(job->c, weir_status_annotate(cli_tensor_array(array, info.dtype, &tensor), "%s: %s", path, info.name));
    if (!code) take_tensor(job, given, i, tensor);
  }
  import_npz_release(&npz);
  return code;
}

static int take_value(run_job *job, given_input *given, const char *text) {
  const char *equals = strchr(text, '=');
  if (!equals) {
    if (ends_with(text, ".npz")) return take_npz(job, given, text);
    return cli_usage(job->c, "--input wants NAME=VALUE or a .npz, not '%s'", text);
  }
  int index = find_input(job, text, (size_t)(equals - text));
  if (index < 0)
    return unknown_name(job, "input", weir_arena_strndup(&job->c->arena, text, (size_t)(equals - text)), true);
  weir_tensor_info info = weir_entry_input(job->entry, index);
  const char *value = equals + 1;
  cli_tensor tensor = {0};
  weir_status status;
  if (ends_with(value, ".npy") || (weir_file_exists(value) && *value != '[')) {
    weir_npy array;
    status = weir_npy_read(value, &array);
    if (!status) {
      status = cli_tensor_array(&array, info.dtype, &tensor);
      weir_npy_release(&array);
    }
  } else {
    status = cli_tensor_literal(value, info.dtype, &tensor);
  }
  if (status) return cli_fail(job->c, weir_status_annotate(status, "input %s", info.name));
  return take_tensor(job, given, index, tensor);
}

static int read_inputs(run_job *job) {
  cli *c = job->c;
  given_input *given = WEIR_NEW_ARRAY(&c->arena, given_input, job->info.input_count);
  int code = CLI_DONE;
  const char *text;
  for (int i = 0; (text = own_text(job, "input", i)) && !code; i++) code = take_value(job, given, text);
  job->request_count = job->info.input_count ? given[0].count : 1;
  for (int i = 0; i < job->info.input_count && !code; i++) {
    const char *name = weir_entry_input(job->entry, i).name;
    if (!given[i].count)
      code = cli_usage(c, "input '%s' of %s is missing: give it with -i %s=...", name, job->info.name, name);
    else if (given[i].count != job->request_count)
      code = cli_usage(c, "input '%s' is given %d times, another %d times", name, given[i].count, job->request_count);
  }
  size_t total = (size_t)job->request_count * (size_t)job->info.input_count;
  job->inputs = WEIR_NEW_ARRAY(&c->arena, cli_tensor, total);
  for (int i = 0; i < job->info.input_count; i++) {
    for (int r = 0; r < given[i].count; r++) {
      if (code) cli_tensor_free(&given[i].tensors[r]);
      else job->inputs[r * job->info.input_count + i] = given[i].tensors[r];
    }
  }
  if (code) job->request_count = 0;
  return code;
}

// ---- running

static void make_requests(run_job *job) {
  weir_arena *arena = &job->c->arena;
  int inputs = job->info.input_count, outputs = job->info.output_count;
  job->requests = WEIR_NEW_ARRAY(arena, weir_request, job->request_count);
  job->input_views = WEIR_NEW_ARRAY(arena, weir_view, job->request_count * inputs);
  job->output_views = WEIR_NEW_ARRAY(arena, weir_view, job->request_count * outputs);
  job->outputs = WEIR_NEW_ARRAY(arena, cli_tensor, job->request_count * outputs);
  for (int i = 0; i < job->request_count * inputs; i++) job->input_views[i] = job->inputs[i].view;
  for (int r = 0; r < job->request_count; r++) {
    job->requests[r] =
        (weir_request){.inputs = job->input_views + r * inputs, .outputs = job->output_views + r * outputs};
  }
}

// The most rows that request |r| of the job can add to a symbol.
static int64_t largest_dim(const run_job *job, int r) {
  int64_t rows = 1;
  for (int i = 0; i < job->info.input_count; i++) {
    const weir_view *view = &job->input_views[r * job->info.input_count + i];
    for (int d = 0; d < view->rank; d++) rows = view->shape[d] > rows ? view->shape[d] : rows;
  }
  return rows;
}

// Adds the rows of request |r| of a job to the room for symbols that grow.
static int add_room(const run_job *job, int r, weir_capacity *capacities, int count) {
  for (int s = 0; s < job->info.symbol_count; s++) {
    weir_symbol_info symbol = weir_entry_symbol(job->entry, s);
    int at = 0;
    if (!symbol.grows) continue;
    while (at < count && strcmp(capacities[at].symbol, symbol.name)) at++;
    if (at == MOST_GROWING) continue;
    if (at == count) capacities[count++] = (weir_capacity){symbol.name, 0};
    int64_t rows = largest_dim(job, r), left = symbol.hi - capacities[at].rows;
    capacities[at].rows += rows < left ? rows : left > 0 ? left : 0;
  }
  return count;
}

// Steps start from new sessions, with room for all jobs.
static weir_status open_sessions(run_job *jobs, int job_count) {
  for (int r = 0; jobs->info.step && r < jobs->request_count; r++) {
    weir_capacity capacities[MOST_GROWING];
    int count = 0;
    for (int k = 0; k < job_count; k++) count = add_room(&jobs[k], r, capacities, count);
    WEIR_TRY(weir_session_open(jobs->model->model, capacities, count, &jobs->requests[r].session));
    for (int k = 1; k < job_count; k++) jobs[k].requests[r].session = jobs->requests[r].session;
  }
  return WEIR_OK;
}

static weir_status run(run_job *job) {
  weir_run_options options = {.cancel = job->c->cancel};
  int outputs = job->info.output_count;
  WEIR_TRY(weir_output_shapes(job->entry, job->requests, job->request_count));
  for (int i = 0; i < job->request_count * outputs; i++) {
    WEIR_TRY(cli_tensor_room(&job->output_views[i], &job->outputs[i]));
    job->output_views[i] = job->outputs[i].view;
  }
  double start = cli_now();
  WEIR_TRY(weir_run(job->model->executor, job->entry, job->requests, job->request_count, &options));
  job->run_seconds = cli_now() - start;
  return WEIR_OK;
}

// ---- outputs

static cli_tensor *output_of(const run_job *job, int request, int index) {
  return &job->outputs[request * job->info.output_count + index];
}

static weir_status write_npy(const char *path, const cli_tensor *tensor) {
  const void *data;
  void *copy;
  weir_status status = cli_tensor_for_file(tensor, &data, &copy);
  if (!status)
    status = weir_npy_write(path, cli_tensor_storage(tensor->view.dtype), tensor->view.rank, tensor->view.shape, data);
  free(copy);
  return status;
}

// F.npy, or F.0.npy, F.1.npy ... where there are several requests.
static weir_status write_output(run_job *job, int index, const char *path) {
  if (job->request_count == 1) return write_npy(path, output_of(job, 0, index));
  size_t stem = strlen(path) - (ends_with(path, ".npy") ? 4 : 0);
  for (int r = 0; r < job->request_count; r++) {
    WEIR_TRY(write_npy(weir_arena_printf(&job->c->arena, "%.*s.%d%s", (int)stem, path, r, path + stem),
                       output_of(job, r, index)));
  }
  return WEIR_OK;
}

// |only| below 0: all outputs.
static weir_status write_npz(run_job *job, int only, const char *path) {
  int outputs = job->info.output_count, total = outputs * job->request_count, count = 0;
  import_npz_entry *entries = WEIR_NEW_ARRAY(&job->c->arena, import_npz_entry, total);
  void **copies = WEIR_NEW_ARRAY(&job->c->arena, void *, total);
  weir_status status = WEIR_OK;
  for (int r = 0; r < job->request_count && !status; r++) {
    for (int i = 0; i < outputs && !status; i++) {
      if (only >= 0 && i != only) continue;
      const cli_tensor *tensor = output_of(job, r, i);
      const char *name = weir_entry_output(job->entry, i).name;
      import_npz_entry *entry = &entries[count];
      entry->name = weir_arena_strdup(
          &job->c->arena, job->request_count > 1 ? weir_arena_printf(&job->c->arena, "%s.%d", name, r) : name);
      entry->array = (weir_npy){.storage = cli_tensor_storage(tensor->view.dtype),
                                .rank = tensor->view.rank,
                                .elements = cli_tensor_elements(&tensor->view)};
      memcpy(entry->array.dims, tensor->view.shape, (size_t)tensor->view.rank * sizeof *tensor->view.shape);
      status = cli_tensor_for_file(tensor, &entry->array.data, &copies[count]);
      entry->array.data_bytes = (size_t)entry->array.elements * weir_storage_info(entry->array.storage)->block_bytes;
      count++;
    }
  }
  if (!status) status = import_npz_write(path, entries, (size_t)count);
  for (int i = 0; i < count; i++) free(copies[i]);
  return status;
}

static int find_output(const run_job *job, const char *name, size_t length) {
  for (int i = 0; i < job->info.output_count; i++) {
    const char *known = weir_entry_output(job->entry, i).name;
    if (strlen(known) == length && !memcmp(known, name, length)) return i;
  }
  return -1;
}

// Reads one -o; index -1 is all.
static int output_target(run_job *job, const char *text, int *index, const char **path) {
  const char *equals = strchr(text, '=');
  *index = -1;
  *path = equals ? equals + 1 : text;
  if (equals) {
    *index = find_output(job, text, (size_t)(equals - text));
    if (*index < 0)
      return unknown_name(job, "output", weir_arena_strndup(&job->c->arena, text, (size_t)(equals - text)), false);
  } else if (!ends_with(text, ".npz")) {
    if (job->info.output_count != 1) return cli_usage(job->c, "--output wants NAME=FILE or a .npz, not '%s'", text);
    *index = 0;
  }
  return CLI_DONE;
}

static int write_outputs(run_job *job) {
  cli *c = job->c;
  const char *text;
  for (int k = 0; (text = own_text(job, "output", k)); k++) {
    int index;
    const char *path;
    int code = output_target(job, text, &index, &path);
    if (!code)
      code = cli_fail(c, ends_with(path, ".npz") ? write_npz(job, index, path) : write_output(job, index, path));
    if (code) return code;
    for (int i = 0; i < job->info.output_count; i++) job->written[i] = job->written[i] || index < 0 || index == i;
  }
  return CLI_DONE;
}

// Names of outputs are checked before the run, so that no work is lost to a slip.
static int check_outputs(run_job *job) {
  const char *text;
  for (int k = 0; (text = own_text(job, "output", k)); k++) {
    int index;
    const char *path;
    int code = output_target(job, text, &index, &path);
    if (!code) code = cli_check_output(job->c, path);
    if (code) return code;
  }
  return CLI_DONE;
}

static json_t *request_json(const run_job *job, int request, const bool *written) {
  json_t *outputs = json_object();
  for (int i = 0; i < job->info.output_count; i++) {
    const weir_view *view = &output_of(job, request, i)->view;
    json_t *item = json_pack("{s:s,s:o}", "dtype", weir_dtype_name(view->dtype), "shape", cli_tensor_shape_json(view));
    if (!written[i] && cli_tensor_elements(view) <= SMALL)
      json_object_set_new(item, "values", cli_tensor_values_json(view));
    json_object_set_new(outputs, weir_entry_output(job->entry, i).name, item);
  }
  return outputs;
}

static json_t *job_json(const run_job *job) {
  json_t *document = json_pack("{s:o,s:{s:f,s:f}}", "outputs", request_json(job, 0, job->written), "timings", "load_s",
                               job->model->load_seconds, "run_s", job->run_seconds);
  if (job->request_count > 1) {
    json_t *list = json_array();
    for (int r = 0; r < job->request_count; r++)
      json_array_append_new(list, json_pack("{s:o}", "outputs", request_json(job, r, job->written)));
    json_object_set_new(document, "requests", list);
  }
  return document;
}

// The last job's document; where there are several, with those of all.
static int print_json(run_job *jobs, int job_count) {
  json_t *document = job_json(&jobs[job_count - 1]), *list = json_array();
  for (int k = 0; k < job_count; k++) {
    json_t *step = job_json(&jobs[k]);
    json_object_set_new(step, "entry", json_string(jobs[k].info.name));
    json_array_append_new(list, step);
  }
  if (job_count > 1) json_object_set(document, "steps", list);
  json_decref(list);
  return cli_json(jobs->c, document);
}

static void print_text(run_job *job) {
  for (int r = 0; r < job->request_count; r++) {
    for (int i = 0; i < job->info.output_count; i++) {
      const weir_view *view = &output_of(job, r, i)->view;
      json_t *shape = cli_tensor_shape_json(view);
      char *dims = json_dumps(shape, JSON_COMPACT);
      printf("%s%s", job->prefix, weir_entry_output(job->entry, i).name);
      if (job->request_count > 1) printf(".%d", r);
      printf(": %s%s", weir_dtype_name(view->dtype), dims ? dims : "");
      if (!job->written[i] && cli_tensor_elements(view) <= SMALL) {
        json_t *values = cli_tensor_values_json(view);
        char *text = json_dumps(values, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(9));
        printf(" = %s", text ? text : "");
        free(text);
        json_decref(values);
      }
      printf("\n");
      free(dims);
      json_decref(shape);
    }
  }
  cli_detail(job->c, "loaded in %.3f s, ran in %.4f s on %d threads (%s)", job->model->load_seconds, job->run_seconds,
             weir_executor_threads(job->model->executor), weir_model_isa(job->model->model));
}

// ---- jobs

// Every step that must come before has its job.
static int check_order(run_job *jobs, int count) {
  for (int k = 0; k < count && jobs[k].info.step; k++) {
    plan_steps steps;
    weir_status status = plan_steps_order(jobs->model->model, jobs[k].entry, &steps);
    if (status) {  // the run will say what is missing
      weir_status_release(status);
      continue;
    }
    for (int i = 0; i + 1 < steps.count; i++) {
      const char *name = weir_entry_describe(steps.entries[i]).name;
      int before = 0;
      while (before < k && jobs[before].entry != steps.entries[i]) before++;
      if (before == k)
        return cli_usage(jobs->c, "step %s reads what %s writes: -e %s -i ... --then %s -i ...", jobs[k].info.name,
                         name, name, jobs[k].info.name);
    }
  }
  return CLI_DONE;
}

// Divides the options: those before the first --then are the first job's.
static int find_jobs(cli *c, cli_model *model, run_job *jobs, int *out_count) {
  int count = 0, code = CLI_DONE;
  const char *name = cli_text(c, "entry");
  for (int i = 0; i <= c->given_count && !code; i++) {
    if (i < c->given_count && strcmp(c->given[i].option->key, "then")) continue;
    int first = count ? jobs[count - 1].end + 1 : 0;
    if (count == MOST_JOBS) return cli_usage(c, "more than %d steps", MOST_JOBS);
    run_job *job = &jobs[count++];
    *job = (run_job){.c = c, .model = model, .first = first, .end = i, .prefix = ""};
    code = cli_entry_find(c, model, count == 1 ? name : c->given[first - 1].text, NULL, &job->entry);
    if (!code) job->info = weir_entry_describe(job->entry);
  }
  for (int k = 0; k < count && count > 1 && !code; k++) {
    jobs[k].prefix = weir_arena_printf(&c->arena, "%s/", jobs[k].info.name);
    if (!jobs[k].info.step)
      code = cli_usage(c, "--then goes on with a session; %s is an entry, which keeps nothing", jobs[k].info.name);
  }
  *out_count = count;
  return code;
}

static int read_job(run_job *job, int request_count) {
  int code = read_inputs(job);
  if (!code) code = check_outputs(job);
  if (!code && job->request_count != request_count && request_count)
    code =
        cli_usage(job->c, "%s has %d requests, the step before %d", job->info.name, job->request_count, request_count);
  if (code) return code;
  job->written = WEIR_NEW_ARRAY(&job->c->arena, bool, job->info.output_count + 1);
  make_requests(job);
  return CLI_DONE;
}

static int run_jobs(run_job *jobs, int count) {
  int code = CLI_DONE;
  for (int k = 0; k < count && !code; k++) code = read_job(&jobs[k], k ? jobs[k - 1].request_count : 0);
  if (!code) code = cli_fail(jobs->c, open_sessions(jobs, count));
  for (int k = 0; k < count && !code; k++) code = cli_fail(jobs->c, run(&jobs[k]));
  for (int k = 0; k < count && !code; k++) code = write_outputs(&jobs[k]);
  if (!code && jobs->c->json) return print_json(jobs, count);
  for (int k = 0; k < count && !code; k++) print_text(&jobs[k]);
  return code;
}

static void free_job(run_job *job, bool sessions) {
  for (int i = 0; sessions && job->requests && i < job->request_count; i++)
    weir_session_close(job->requests[i].session);
  for (int i = 0; job->outputs && i < job->request_count * job->info.output_count; i++)
    cli_tensor_free(&job->outputs[i]);
  for (int i = 0; job->inputs && i < job->request_count * job->info.input_count; i++) cli_tensor_free(&job->inputs[i]);
}

int cmd_run(cli *c) {
  if (!cli_arguments(c, 1, 1)) return CLI_USAGE;
  cli_model model;
  run_job *jobs = WEIR_NEW_ARRAY(&c->arena, run_job, MOST_JOBS);
  int count = 0, code = cli_model_open(c, c->arguments[0], false, &model);
  if (!code) code = find_jobs(c, &model, jobs, &count);
  if (!code) code = check_order(jobs, count);
  if (!code) code = run_jobs(jobs, count);
  for (int k = 0; k < count; k++) free_job(&jobs[k], k == 0);
  cli_model_close(&model);
  return code;
}
