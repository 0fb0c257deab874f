// Loading a package from a file, with the code in it.
#include <string.h>

#include "runtime/device/cpu/object.h"
#include "runtime/device/cuda/device.h"
#include "runtime/exec/from_package.h"

static weir_status code_open(void *context, const rt_package *package, const char *isa, const weir_allocator *allocator,
                             rt_kernel_provider *out_provider, const char **out_isa) {
  (void)context;
  return rt_object_open_best(package, isa, allocator, out_provider, out_isa);
}

weir_status weir_model_load(const char *path, const weir_load_options *options, weir_model **out_model) {
  static const weir_load_options defaults;
  if (!options) options = &defaults;
  rt_package_options how = {.allocator = options->allocator, .weights_folder = options->weights_folder};
  rt_package *package;
  WEIR_TRY(rt_package_open_with(path, &how, &package));
  const rt_code_source code = {.open = code_open};
  bool host = !options->device || !strcmp(options->device, "cpu");
  weir_status status = host ? rt_model_from_package(package, options, &code, out_model)
                            : rt_cuda_model(options->device, package, options, out_model);
  return weir_status_annotate(status, "package '%s'", path);
}
