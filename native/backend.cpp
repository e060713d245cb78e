// Makes llama.cpp keep its weights in panels and multiply them with our kernels (see panels.h).
//
// llama.cpp asks a list of "extra buffer types" for each matrix, first come, first served. Ours is put at its head when
// the library is loaded, and is asked, too, who computes an operation.
#if defined(__AVX2__) && defined(__F16C__) && defined(__FMA__)  // others compute with what llama.cpp has for them

#include "multiply.h"

#ifdef __linux__
#    include <sys/mman.h>
#endif

#include <algorithm>
#include <vector>

#include "attention.h"
#include "gelu.h"
#include "ggml-backend-impl.h"
#include "ggml-cpu.h"
#include "traits.h"

// ggml's own answer to whether this processor has what the library was compiled for; only where there are several.
extern "C" int ggml_backend_score() __attribute__((weak));

namespace webchat {
namespace {

// Callers know us by it. The number is raised when other results are computed: kept states are told apart by it.
constexpr const char * NAME = "CPU_PANELS_1";

struct Matrix : ggml::cpu::tensor_traits {
    virtual size_t size(const ggml_tensor * matrix) const              = 0;
    virtual void   set(ggml_tensor * matrix, const uint8_t * file) const = 0;
};

template <class F>
struct MatrixOf : Matrix {
    static int64_t panel_length(const ggml_tensor * matrix) { return matrix->ne[0] / F::TYPE_COLUMNS * HALVES; }

    size_t size(const ggml_tensor * matrix) const override {
        return packed_size<F>(matrix->ne[1], matrix->ne[0]);
    }

    void set(ggml_tensor * matrix, const uint8_t * file) const override {
        const int64_t panels = matrix->ne[1] / ROWS, length = panel_length(matrix);
        const size_t  stride = ggml_row_size(matrix->type, matrix->ne[0]);
        auto * const  target = static_cast<typename F::Packed *>(matrix->data);
        for (int64_t p = 0; p < panels; ++p) {
            pack<F>(file + p * ROWS * stride, stride, matrix->ne[0], target + p * length);
        }
    }

    bool work_size(int, const ggml_tensor * op, size_t & size) override {
        size = RightSide<F>::row_size(op->src[1]->ne[0]) * ggml_nrows(op->src[1]);
        return true;
    }

    bool compute_forward(ggml_compute_params * params, ggml_tensor * op) override {
        const ggml_tensor * matrix = op->src[0];
        const ggml_tensor * right  = op->src[1];
        const int           count  = static_cast<int>(ggml_nrows(right));
        GGML_ASSERT(ggml_is_contiguous(op) && right->nb[0] == sizeof(float));
        GGML_ASSERT(right->ne[2] * right->ne[3] == 1 || ggml_is_contiguous(right));
        GGML_ASSERT(params->wsize >= RightSide<F>::row_size(right->ne[0]) * count);

        const RightSide<F> rows{static_cast<uint8_t *>(params->wdata), static_cast<int>(right->ne[0])};
        for (int row = params->ith; row < count; row += params->nth) {
            const char * from = static_cast<const char *>(right->data) + row * right->nb[1];
            rows.quantise(row, reinterpret_cast<const float *>(from));
        }
        if (params->ith == 0) {
            ggml_threadpool_chunk_set(params->threadpool, params->nth);
        }
        ggml_barrier(params->threadpool);

        const int64_t panels = matrix->ne[1] / ROWS, length = panel_length(matrix);
        const int64_t share  = std::max<int64_t>(1, panels / (params->nth * 8));  // in turn: a core may be taken away
        const auto *  first  = static_cast<const typename F::Packed *>(matrix->data);
        float * const out    = static_cast<float *>(op->data);
        int64_t       turn   = params->ith;
        while (turn * share < panels) {
            for (int64_t p = turn * share; p < std::min(panels, (turn + 1) * share); ++p) {
                multiply<F>(first + p * length, rows, count, out + p * ROWS, op->ne[0]);
            }
            turn = ggml_threadpool_chunk_add(params->threadpool, 1);
        }
        return true;
    }
};

Matrix * matrix_of(const ggml_tensor * tensor) {
    static MatrixOf<Q4_K> q4_k;
    static MatrixOf<Q5_0> q5_0;
    static MatrixOf<Q6_K> q6_k;
    static MatrixOf<Q8_0> q8_0;
    if (ggml_n_dims(tensor) != 2 || tensor->ne[1] % ROWS != 0) {
        return nullptr;
    }
    switch (tensor->type) {
        case GGML_TYPE_Q4_K: return &q4_k;
        case GGML_TYPE_Q5_0: return &q5_0;
        case GGML_TYPE_Q6_K: return &q6_k;
        case GGML_TYPE_Q8_0: return &q8_0;
        default: return nullptr;
    }
}

ggml_backend_buffer_type_t panels_buffer_type();

ggml_status init_tensor(ggml_backend_buffer_t, ggml_tensor * tensor) {
    tensor->extra = static_cast<ggml::cpu::tensor_traits *>(matrix_of(tensor));
    return GGML_STATUS_SUCCESS;
}

void set_tensor(ggml_backend_buffer_t, ggml_tensor * tensor, const void * data, size_t offset, size_t size) {
    GGML_ASSERT(offset == 0 && size == ggml_nbytes(tensor) && matrix_of(tensor));
    matrix_of(tensor)->set(tensor, static_cast<const uint8_t *>(data));
}

// Each token passes through all of it: with pages of two megabytes a sixteenth faster.
void ask_for_large_pages([[maybe_unused]] void * memory, [[maybe_unused]] size_t size) {
#ifdef MADV_HUGEPAGE
    constexpr uintptr_t PAGE  = 2 << 20;
    const uintptr_t     first = (reinterpret_cast<uintptr_t>(memory) + PAGE - 1) / PAGE * PAGE;
    const uintptr_t     last  = (reinterpret_cast<uintptr_t>(memory) + size) / PAGE * PAGE;
    if (first < last) {
        madvise(reinterpret_cast<void *>(first), last - first, MADV_HUGEPAGE);
    }
#endif
}

ggml_backend_buffer_t alloc_buffer(ggml_backend_buffer_type_t type, size_t size) {
    ggml_backend_buffer_t buffer = ggml_backend_buft_alloc_buffer(ggml_backend_cpu_buffer_type(), size);
    if (buffer) {
        ask_for_large_pages(ggml_backend_buffer_get_base(buffer), size);
        buffer->buft              = type;
        buffer->iface.init_tensor = init_tensor;
        buffer->iface.set_tensor  = set_tensor;
        buffer->iface.get_tensor  = nullptr;
        buffer->iface.cpy_tensor  = nullptr;
    }
    return buffer;
}

size_t alloc_size(ggml_backend_buffer_type_t, const ggml_tensor * tensor) {
    const Matrix * matrix = matrix_of(tensor);
    return matrix ? std::max(matrix->size(tensor), ggml_nbytes(tensor)) : ggml_nbytes(tensor);
}

struct PanelBuffers : ggml::cpu::extra_buffer_type {
    bool supports_op(ggml_backend_dev_t, const ggml_tensor * op) override {
        return op->op == GGML_OP_MUL_MAT && holds(op->src[0]) && matrix_of(op->src[0]) &&
               op->src[1]->type == GGML_TYPE_F32 &&
               (!op->src[1]->buffer || ggml_backend_buft_is_host(op->src[1]->buffer->buft));
    }

    ggml::cpu::tensor_traits * get_tensor_traits(const ggml_tensor * op) override {
        if (op->op == GGML_OP_MUL_MAT && holds(op->src[0])) {
            return static_cast<ggml::cpu::tensor_traits *>(op->src[0]->extra);
        }
        ggml::cpu::tensor_traits * attention = attention_of(op);
        return attention ? attention : gelu_of(op);
    }

  private:
    static bool holds(const ggml_tensor * tensor) {
        return tensor->buffer && tensor->buffer->buft == panels_buffer_type();
    }
};

ggml_backend_buffer_type_t panels_buffer_type() {
    static ggml_backend_buffer_type type = {
        /* .iface   = */ {
            /* .get_name       = */ [](ggml_backend_buffer_type_t) { return NAME; },
            /* .alloc_buffer   = */ alloc_buffer,
            /* .get_alignment  = */ [](ggml_backend_buffer_type_t) -> size_t { return 64; },
            /* .get_max_size   = */ nullptr,
            /* .get_alloc_size = */ alloc_size,
            /* .is_host        = */ nullptr,
        },
        /* .device  = */ ggml_backend_reg_dev_get(ggml_backend_cpu_reg(), 0),
        /* .context = */ static_cast<ggml::cpu::extra_buffer_type *>(new PanelBuffers()),
    };
    return &type;
}

[[gnu::noinline]] void put_ours_first() {
    auto & types = ggml_backend_cpu_get_extra_buffer_types();
    types.insert(types.begin(), panels_buffer_type());
}

// A library made for one generation of processors is loaded on any, only to be asked whether it would do there.
[[gnu::constructor]] void enter() {
    if (!ggml_backend_score || ggml_backend_score() > 0) {
        put_ours_first();
    }
}

}  // namespace
}  // namespace webchat

#endif
