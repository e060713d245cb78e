# Read by CMake at project(llama_cpp) while llama-cpp-python is compiled (see llama_wheel.py).
# Its build also makes mtmd (vision) and llama.cpp's `common` library, more than half of the work, and webchat calls
# neither: 83 steps instead of 193. LLAMA_BUILD_COMMON is forced into the cache there, so a -D cannot switch it off;
# a plain variable set before goes first. (Building the target `llama` alone fails: the install step wants `common`.)
set(LLAVA_BUILD OFF)
set(LLAMA_BUILD_COMMON OFF)
