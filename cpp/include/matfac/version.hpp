#pragma once

/// The version of the library, the Python package and the command line: the only place where it is written.
#define MATFAC_VERSION "0.1.0"
