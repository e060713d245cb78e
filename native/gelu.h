#pragma once

#include "traits.h"

namespace webchat {

// Who computes this operation, if it is a GELU that ours can do; otherwise null.
ggml::cpu::tensor_traits * gelu_of(const ggml_tensor * op);

}  // namespace webchat
