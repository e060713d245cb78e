#pragma once

#include "traits.h"

namespace webchat {

// Who computes this operation, if it is an attention that ours can do; otherwise null.
ggml::cpu::tensor_traits * attention_of(const ggml_tensor * op);

}  // namespace webchat
