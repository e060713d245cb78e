# Read by CMake at project(llama_cpp) while llama-cpp-python is compiled (see llama_wheel.py).

# Its build also makes mtmd (vision) and llama.cpp's `common` library, more than half of the work, and webchat calls
# neither: 86 steps instead of 193. LLAMA_BUILD_COMMON is forced into the cache there, so a -D cannot switch it off;
# a plain variable set before goes first. (Building the target `llama` alone fails: the install step wants `common`.)
set(LLAVA_BUILD OFF)
set(LLAMA_BUILD_COMMON OFF)

# Our kernels become part of ggml's processor library, or of each of them where one is made per generation of
# processors. Those targets are there when everything else has been read.
set(WEBCHAT_NATIVE "${CMAKE_CURRENT_LIST_DIR}/../native")
function(webchat_add_kernels)
    get_property(targets DIRECTORY "${CMAKE_SOURCE_DIR}/vendor/llama.cpp/ggml/src" PROPERTY BUILDSYSTEM_TARGETS)
    foreach(target IN LISTS targets)
        if(target MATCHES "^ggml-cpu" AND NOT target MATCHES "-feats$")
            target_sources(${target} PRIVATE
                "${WEBCHAT_NATIVE}/attention.cpp" "${WEBCHAT_NATIVE}/backend.cpp" "${WEBCHAT_NATIVE}/gelu.cpp"
                "${WEBCHAT_NATIVE}/panels.cpp")
        endif()
    endforeach()
endfunction()
cmake_language(DEFER CALL webchat_add_kernels)
