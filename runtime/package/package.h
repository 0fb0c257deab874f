// Reading a package: the file is mapped, nothing in it is trusted before it is checked.
//
// Opening checks the header, the table (against its hash), every name and place, the manifest and the weight index.
// Contents of other sections are checked by rt_package_check against their hashes: users of programs and code do that
// first; weights are only hashed by rt_package_verify, for they are large. An open package is immutable: any thread may
// read it. Everything returned lives as long as it. INVALID_DATA names the field or section that is wrong.
#ifndef WEIR_RUNTIME_PACKAGE_PACKAGE_H
#define WEIR_RUNTIME_PACKAGE_PACKAGE_H

#include "runtime/base/alloc.h"
#include "runtime/base/hash.h"
#include "runtime/base/status.h"
#include "runtime/package/format.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rt_package rt_package;

typedef struct {
  const char *name;
  uint64_t offset;  // in the file
  size_t bytes;
  const uint8_t *data;
  weir_hash hash;
} rt_section;

// A line of the weight index: "KEY STORAGE LAYOUT DIMS OFFSET BYTES".
typedef struct {
  const char *key;      // what programs call it
  const char *storage;  // "f32", "q4_1"
  const char *layout;   // how the kernels want it: "plain", "panel16"
  const char *dims;     // "49152x576", "-" for a scalar
  int64_t offset;       // in the section
  int64_t bytes;
} rt_package_weight;

// A code object: "isa" and, for code made for one machine ("native"), the processor features that it needs.
typedef struct {
  const char *isa;
  const char *features;  // comma list as rt_cpu_features gives; "" if the name says all
  const rt_section *object;
} rt_package_object;

typedef struct {
  const weir_allocator *allocator;  // null: the system's
  const char *weights_folder;       // a further folder for weights beside; may be null
  bool any_version;                 // also older formats, whose programs and weights mean something else: for upgrade
  bool without_weights;             // weights beside are not opened: for looking at the rest
} rt_package_options;

// Weights beside are a file called by their hash, HASH.weights, in the package's folder, in |weights_folder|, or in the
// folder `weights` of the cache (runtime/base/home.h), the first one that is there. NOT_FOUND with all three where none
// is; INVALID_DATA for one of another size. |options| may be null. NOT_FOUND, IO: as weir_map_open.
weir_status rt_package_open_with(const char *path, const rt_package_options *options,
                                 rt_package **out_package) WEIR_MUST_USE;
// The same with nothing but an allocator, which may be null.
weir_status rt_package_open(const char *path, const weir_allocator *allocator, rt_package **out_package) WEIR_MUST_USE;
// The same over memory of the caller, page aligned or not, which must outlive the package.
weir_status rt_package_open_memory(const void *data, size_t bytes, const weir_allocator *allocator,
                                   rt_package **out_package) WEIR_MUST_USE;
void rt_package_close(rt_package *package);  // null is allowed

int rt_package_section_count(const rt_package *package);
const rt_section *rt_package_section(const rt_package *package, int index);
const rt_section *rt_package_find(const rt_package *package, const char *name);  // null if absent
// Hash of the table: names the whole package's contents. Signing does not change it.
weir_hash rt_package_identity(const rt_package *package);
uint32_t rt_package_version(const rt_package *package);
size_t rt_package_bytes(const rt_package *package);  // of the file, a signature included
// Null: not signed. Not yet checked: runtime/package/signature.h.
const rt_package_signature *rt_package_signed(const rt_package *package);

// Hashes the section: INVALID_DATA if it differs from the table.
weir_status rt_package_check(const rt_package *package, const rt_section *section) WEIR_MUST_USE;
// Everything: every section's hash, weights beside too, zeros between sections, programs that parse and whose weights
// are there, and the signature, if there is one, by its own key.
weir_status rt_package_verify(const rt_package *package) WEIR_MUST_USE;

// From the manifest.
const char *rt_package_model_name(const rt_package *package);
int rt_package_entry_count(const rt_package *package);
const char *rt_package_entry(const rt_package *package, int index);
int rt_package_object_count(const rt_package *package);
const rt_package_object *rt_package_object_at(const rt_package *package, int index);
// Of a section's name behind "program/": the family of devices that runs it (RT_SECTION_DEVICE, RT_SECTION_SM_90A) and
// its entry. Null: it is the one that processors run.
const char *rt_program_family(const char *rest, const char **out_entry);

// The weights, inside or beside (then |offset| counts from the start of their file). Null: the package has none, or
// they were not opened.
const rt_section *rt_package_weights(const rt_package *package);
// Of weights beside: the hash that names their file; null if they are inside.
const weir_hash *rt_package_weights_beside(const rt_package *package);
const char *rt_package_weights_path(const rt_package *package);  // null if inside or not opened
int rt_package_weight_count(const rt_package *package);
const rt_package_weight *rt_package_weight_at(const rt_package *package, int index);
const rt_package_weight *rt_package_weight_find(const rt_package *package, const char *key);  // null if absent
// Null if the weights were not opened.
const void *rt_package_weight_data(const rt_package *package, const rt_package_weight *weight);

// True for a legal section name.
bool rt_package_name_valid(const char *name);

#ifdef __cplusplus
}
#endif
#endif
