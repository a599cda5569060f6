# The generated kernel table and the backends of this platform, added to the library of the GPU layer.
find_package(Python3 REQUIRED COMPONENTS Interpreter)

set(SX_KERNELS_DIR ${CMAKE_BINARY_DIR}/kernels)
set(kernels_outputs ${SX_KERNELS_DIR}/kernels.gen.c ${SX_KERNELS_DIR}/kernels.gen.h)
set(kernels_arguments --out ${SX_KERNELS_DIR})
if(EMSCRIPTEN)
  set(SX_NODE_MODULES ${CMAKE_BINARY_DIR}/../npm/node_modules CACHE PATH "Where web/package.json is installed")
  list(APPEND kernels_arguments --wgsl --node-modules ${SX_NODE_MODULES})
  list(APPEND kernels_outputs ${SX_KERNELS_DIR}/kernels.gen.mjs)
endif()
# Shaders may include what C includes, so the runtime's headers count as sources too.
file(GLOB kernels_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/shaders/*.comp ${CMAKE_SOURCE_DIR}/shaders/*.glsl
  ${CMAKE_SOURCE_DIR}/shaders/*.h)
file(GLOB kernels_shared CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/runtime/*/*_shared.h)
add_custom_command(
  OUTPUT ${kernels_outputs}
  COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/tools/kernels.py ${kernels_arguments}
  DEPENDS ${CMAKE_SOURCE_DIR}/shaders/kernels.txt ${CMAKE_SOURCE_DIR}/tools/kernels.py ${CMAKE_SOURCE_DIR}/tools/spirv.py
    ${CMAKE_SOURCE_DIR}/tools/wgsl.mjs ${kernels_sources} ${kernels_shared}
  COMMENT "Building kernels"
  VERBATIM)
add_custom_target(sx_kernels DEPENDS ${kernels_outputs})
add_dependencies(sx_gpu sx_kernels)

target_sources(sx_gpu PRIVATE ${SX_KERNELS_DIR}/kernels.gen.c)
target_include_directories(sx_gpu PUBLIC ${SX_KERNELS_DIR})

file(GLOB null_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/null/*.c)
target_sources(sx_gpu PRIVATE ${null_sources})
if(EMSCRIPTEN)
  file(GLOB webgpu_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/webgpu/*.c)
  target_sources(sx_gpu PRIVATE ${webgpu_sources})
  target_compile_definitions(sx_gpu PRIVATE SX_GPU_HAVE_WEBGPU)
  target_link_options(sx_gpu PUBLIC
    "SHELL:--js-library ${CMAKE_CURRENT_LIST_DIR}/webgpu/library_specexit_gpu.js")
  set_property(TARGET sx_gpu PROPERTY INTERFACE_LINK_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/webgpu/library_specexit_gpu.js)
else()
  # Only the headers: the loader is opened at run time, so that a machine without one gets a message.
  find_path(SX_VULKAN_INCLUDE vulkan/vulkan.h REQUIRED)
  file(GLOB vulkan_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/vulkan/*.c)
  if(SX_SANITIZE)
    target_compile_definitions(sx_gpu PRIVATE SX_GPU_KEEP_LIBRARIES)
  else()
    list(FILTER vulkan_sources EXCLUDE REGEX sanitizer.c)
  endif()
  target_sources(sx_gpu PRIVATE ${vulkan_sources})
  target_include_directories(sx_gpu PRIVATE ${SX_VULKAN_INCLUDE})
  target_compile_definitions(sx_gpu PRIVATE SX_GPU_HAVE_VULKAN)
  target_link_libraries(sx_gpu PRIVATE ${CMAKE_DL_LIBS})
endif()
