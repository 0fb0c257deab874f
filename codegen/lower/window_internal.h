// Shared by the kernels of convolutions and pooling. window.c has positions in lanes and reads images as their dims
// lie; the others have channels in lanes, for values that lie channels last (images.c).
#ifndef WEIR_CODEGEN_LOWER_WINDOW_INTERNAL_H
#define WEIR_CODEGEN_LOWER_WINDOW_INTERNAL_H

#include "codegen/lower/internal.h"
#include "codegen/lower/taps.h"

enum { CG_MAX_SPATIAL = 3 };

// A convolution or pooling of known sizes, by spatial axis.
typedef struct cg_window {
  int spatial;
  int64_t in[CG_MAX_SPATIAL], out[CG_MAX_SPATIAL], window[CG_MAX_SPATIAL], stride[CG_MAX_SPATIAL];
  int64_t before[CG_MAX_SPATIAL], dilation[CG_MAX_SPATIAL];
  int64_t groups, channels, outputs;  // channels and outputs of a group; of pooling all 1
  bool padded;                        // some window reaches beyond the image
} cg_window;

bool cg_window_is_pool(const ir_node *node);
// False if some size is not constant.
bool cg_window_read(const ir_node *node, cg_window *out);
int64_t cg_window_taps(const cg_window *g);
int64_t cg_window_positions(const cg_window *g);

// A kernel with channels in lanes. Items are chunks of rows, which are places along the first spatial axis.
typedef struct {
  emitter e;
  function_lowering *fl;
  ir_value *root, *x;
  const ir_node *node;
  cg_window g;
  int lead;                          // axes in front of the channels
  const ir_kexpr *idx[IR_MAX_RANK];  // of those
  int64_t rows, row_positions;       // of an item; positions of a row
  const ir_kexpr *row_lo, *row_hi;   // of the item
  // The item's part of x in local memory, zeros around the image: |pitch| is the step along each axis.
  int slab;
  bool last;  // channels last
  int64_t pitch[CG_MAX_SPATIAL], channel_pitch, extent[CG_MAX_SPATIAL];
} cg_image_kernel;

// Geometry and operands of |node|, computed together with |root|; the name and banner of the kernel.
void cg_image_begin(cg_image_kernel *k, function_lowering *fl, ir_value *root, const ir_node *node, const char *what);
// Opens a grid of images, chunks of |rows| rows and |parts|; returns which part the item is.
const ir_kexpr *cg_image_grid(cg_image_kernel *k, int64_t parts);
// Where position |n| of the whole image is, along each spatial axis.
void cg_image_split(cg_image_kernel *k, const ir_kexpr *n, const ir_kexpr **at);
// Local memory for |channels| and what the windows of an item's rows meet; fills it. Lanes that reach beyond the last
// channel may be read.
int64_t cg_image_slab_bytes(const cg_image_kernel *k, int64_t rows, int64_t channels);
void cg_image_stage(cg_image_kernel *k, int64_t channels);
// x at tap |tap| of the window of the output at |at|, from local memory.
const ir_kexpr *cg_image_staged(cg_image_kernel *k, const ir_kexpr *const *at, const ir_kexpr *const *tap,
                                const ir_kexpr *channel);
// x itself, where no window reaches beyond the image.
const ir_kexpr *cg_image_element(cg_image_kernel *k, const ir_kexpr *const *at, const ir_kexpr *const *tap,
                                 const ir_kexpr *channel);
ir_ktype cg_taps_type(const cg_image_kernel *k);  // of the weights in memory
// The epilogue of |sum|, the output |channel| at |at|. |masked|: lanes may be beyond the last of |channels|.
void cg_image_store(cg_image_kernel *k, const ir_kexpr *channel, int64_t channels, bool masked,
                    const ir_kexpr *const *at, const ir_kexpr *sum);

weir_status cg_lower_conv_direct(function_lowering *fl, ir_value *root, const ir_node *node);
weir_status cg_lower_conv_depthwise(function_lowering *fl, ir_value *root, const ir_node *node);
weir_status cg_lower_conv_winograd(function_lowering *fl, ir_value *root, const ir_node *node);
// Whether that kernel is there for the convolution |node| and faster than the direct one.
bool cg_winograd_pays(const ir_node *node, const cg_window *g);
weir_status cg_lower_image_pool(function_lowering *fl, ir_value *root, const ir_node *node);

#endif
