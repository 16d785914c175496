// The kernels of one instruction set; included by each variant_*.c with LANES, TILE_ROWS and TILE_VECTORS set and the
// instruction set switched on for all functions.
#include "variant.h"
#include "vectors.h"

#include "tile_body.h"

#include "rows_body.h"

#include "attention_body.h"

#include "head_body.h"

const policy_variant VARIANT = {
    .isa = VARIANT_ISA,
    .lanes = LANES,
    .tile_rows = TILE_ROWS,
    .tile_columns = TILE_COLUMNS,
    .tile = tile,
    .pack_rows = pack_rows,
    .pack_columns = pack_columns,
    .narrow = narrow,
    .gather = gather,
    .scatter_add = scatter_add,
    .rms_norm = rms_norm,
    .rms_norm_backward = rms_norm_backward,
    .swiglu = swiglu,
    .swiglu_backward = swiglu_backward,
    .column_sums = column_sums,
    .add_row = add_row,
    .axpy = axpy,
    .rope_row = rope_row,
    .rope_row_backward = rope_row_backward,
    .attend_scratch = attend_scratch,
    .attend = attend,
    .attend_backward = attend_backward,
    .head_scan = head_scan,
    .head_top = head_top,
    .head_gradient = head_gradient,
    .scale_rows = scale_rows,
};
