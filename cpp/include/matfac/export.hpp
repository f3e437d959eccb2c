#pragma once

/// Marks what the shared library exports; everything else stays hidden. MATFAC_SHARED is defined by the CMake target
/// and by pkg-config where the library is shared. In a static library nothing is marked: what embeds it does not export
/// it in turn.
#if !defined(MATFAC_SHARED)
#define MATFAC_API
#elif !defined(_WIN32)
#define MATFAC_API __attribute__((visibility("default")))
#elif defined(MATFAC_BUILDING)
#define MATFAC_API __declspec(dllexport)
#else
#define MATFAC_API __declspec(dllimport)
#endif
