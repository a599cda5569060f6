# The Emscripten found on PATH (or named by EMSCRIPTEN_ROOT), so that one preset serves distributions' packages and the SDK.
if(DEFINED ENV{EMSCRIPTEN_ROOT})
  set(sx_emscripten_root $ENV{EMSCRIPTEN_ROOT})
else()
  find_program(SX_EMCC emcc REQUIRED)
  file(REAL_PATH ${SX_EMCC} sx_emcc)
  get_filename_component(sx_emscripten_root ${sx_emcc} DIRECTORY)
endif()
include(${sx_emscripten_root}/cmake/Modules/Platform/Emscripten.cmake)
