// The version of Weir: what packages record and `weir --version` says. CMakeLists.txt has the same number.
#ifndef WEIR_COMPILER_PLAN_VERSION_H
#define WEIR_COMPILER_PLAN_VERSION_H

#define WEIR_VERSION "0.1.0"

#endif
