#pragma once

/// Marks what the shared library exports; everything else stays hidden.
#if defined(_WIN32) && defined(MATFAC_SHARED)
#ifdef MATFAC_BUILDING
#define MATFAC_API __declspec(dllexport)
#else
#define MATFAC_API __declspec(dllimport)
#endif
#elif defined(__GNUC__)
#define MATFAC_API __attribute__((visibility("default")))
#else
#define MATFAC_API
#endif
