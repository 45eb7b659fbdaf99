# arm64.cmake -- toolchain: 64-bit ARM Linux on another machine. Libraries are from ARM64_ROOT (tools/foreign_root.sh), programs run there by
# qemu-aarch64.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)

set(ARM64_ROOT "${CMAKE_CURRENT_LIST_DIR}/../build/arm64-root" CACHE PATH "root of an arm64 Debian")
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES ARM64_ROOT)
get_filename_component(root "${ARM64_ROOT}" ABSOLUTE)
set(CMAKE_SYSROOT "${root}")
set(CMAKE_CROSSCOMPILING_EMULATOR "qemu-aarch64;-L;${root}")
set(SLM_EMULATED_CPUS cortex-a53 neoverse-n1) # plain ARMv8; with dotprod, without i8mm
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)

# Debian's linker looks in the multiarch folders of its own root only.
foreach(folder usr/lib/aarch64-linux-gnu lib/aarch64-linux-gnu)
  string(APPEND CMAKE_EXE_LINKER_FLAGS_INIT " -L${root}/${folder} -Wl,-rpath-link,${root}/${folder}")
endforeach()
set(ENV{PKG_CONFIG_LIBDIR} "${root}/usr/lib/aarch64-linux-gnu/pkgconfig:${root}/usr/share/pkgconfig")
set(ENV{PKG_CONFIG_SYSROOT_DIR} "${root}")
