// Portable vectors: the registers of the level that this unit is compiled for, and groups of them.
//
// Everything here lives in the unnamed namespace of the including unit: nothing may become a weak symbol that the
// linker could share between units compiled for different instruction sets.

#if defined(__AVX512F__) || defined(__AVX2__) || defined(__SSE2__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
#define MATFAC_REGISTER_BYTES 64
#elif defined(__AVX2__)
#define MATFAC_REGISTER_BYTES 32
#else
#define MATFAC_REGISTER_BYTES 16
#endif

#define MATFAC_INLINE inline __attribute__((always_inline))

namespace matfac {
namespace {

template <class T>
struct RegisterOf;
template <>
struct RegisterOf<float> {
  typedef float type __attribute__((vector_size(MATFAC_REGISTER_BYTES)));
  typedef float unaligned __attribute__((vector_size(MATFAC_REGISTER_BYTES), aligned(4), may_alias));
};
template <>
struct RegisterOf<double> {
  typedef double type __attribute__((vector_size(MATFAC_REGISTER_BYTES)));
  typedef double unaligned __attribute__((vector_size(MATFAC_REGISTER_BYTES), aligned(8), may_alias));
};
template <class T>
using Register = typename RegisterOf<T>::type;

// Entries in a register.
template <class T>
constexpr Index kWidth = MATFAC_REGISTER_BYTES / static_cast<Index>(sizeof(T));
// Entries in a group of registers: 64 bytes at every level.
template <class T>
constexpr Index kGroup = 64 / static_cast<Index>(sizeof(T));
constexpr int kRegisters = 64 / MATFAC_REGISTER_BYTES;

template <class T>
MATFAC_INLINE Register<T> load_register(const T* p) {
  return *reinterpret_cast<const typename RegisterOf<T>::unaligned*>(p);
}
template <class T>
MATFAC_INLINE void store_register(T* p, Register<T> x) {
  *reinterpret_cast<typename RegisterOf<T>::unaligned*>(p) = x;
}
template <class T>
MATFAC_INLINE Register<T> splat(T x) {
  return x - Register<T>{};  // a broadcast: unlike 0 + x, x - 0 is x for every x, so nothing is computed
}

// fma: a * b + c, fnma: c - a * b, in one rounding where the level has it.
#if defined(__AVX512F__)
MATFAC_INLINE Register<float> fma(Register<float> a, Register<float> b, Register<float> c) {
  return reinterpret_cast<Register<float>>(
      _mm512_fmadd_ps(reinterpret_cast<__m512>(a), reinterpret_cast<__m512>(b), reinterpret_cast<__m512>(c)));
}
MATFAC_INLINE Register<double> fma(Register<double> a, Register<double> b, Register<double> c) {
  return reinterpret_cast<Register<double>>(
      _mm512_fmadd_pd(reinterpret_cast<__m512d>(a), reinterpret_cast<__m512d>(b), reinterpret_cast<__m512d>(c)));
}
MATFAC_INLINE Register<float> fnma(Register<float> a, Register<float> b, Register<float> c) {
  return reinterpret_cast<Register<float>>(
      _mm512_fnmadd_ps(reinterpret_cast<__m512>(a), reinterpret_cast<__m512>(b), reinterpret_cast<__m512>(c)));
}
MATFAC_INLINE Register<double> fnma(Register<double> a, Register<double> b, Register<double> c) {
  return reinterpret_cast<Register<double>>(
      _mm512_fnmadd_pd(reinterpret_cast<__m512d>(a), reinterpret_cast<__m512d>(b), reinterpret_cast<__m512d>(c)));
}
#elif defined(__AVX2__)
MATFAC_INLINE Register<float> fma(Register<float> a, Register<float> b, Register<float> c) {
  return reinterpret_cast<Register<float>>(
      _mm256_fmadd_ps(reinterpret_cast<__m256>(a), reinterpret_cast<__m256>(b), reinterpret_cast<__m256>(c)));
}
MATFAC_INLINE Register<double> fma(Register<double> a, Register<double> b, Register<double> c) {
  return reinterpret_cast<Register<double>>(
      _mm256_fmadd_pd(reinterpret_cast<__m256d>(a), reinterpret_cast<__m256d>(b), reinterpret_cast<__m256d>(c)));
}
MATFAC_INLINE Register<float> fnma(Register<float> a, Register<float> b, Register<float> c) {
  return reinterpret_cast<Register<float>>(
      _mm256_fnmadd_ps(reinterpret_cast<__m256>(a), reinterpret_cast<__m256>(b), reinterpret_cast<__m256>(c)));
}
MATFAC_INLINE Register<double> fnma(Register<double> a, Register<double> b, Register<double> c) {
  return reinterpret_cast<Register<double>>(
      _mm256_fnmadd_pd(reinterpret_cast<__m256d>(a), reinterpret_cast<__m256d>(b), reinterpret_cast<__m256d>(c)));
}
#else
// Units of this level are compiled with contraction where the architecture always has fused arithmetic (AArch64).
template <class R>
MATFAC_INLINE R fma(R a, R b, R c) {
  return a * b + c;
}
template <class R>
MATFAC_INLINE R fnma(R a, R b, R c) {
  return c - a * b;
}
#endif

MATFAC_INLINE float fma_scalar(float a, float b, float c) {
#if defined(__FMA__) || defined(__aarch64__)
  return __builtin_fmaf(a, b, c);
#else
  return a * b + c;
#endif
}
MATFAC_INLINE double fma_scalar(double a, double b, double c) {
#if defined(__FMA__) || defined(__aarch64__)
  return __builtin_fma(a, b, c);
#else
  return a * b + c;
#endif
}

MATFAC_INLINE float square_root(float x) { return __builtin_sqrtf(x); }
MATFAC_INLINE double square_root(double x) { return __builtin_sqrt(x); }

// Roots of all lanes; whether each lane of a is above that of b (a lane that is not a number is not).
#if defined(__AVX512F__)
MATFAC_INLINE Register<float> square_roots(Register<float> x) {
  return reinterpret_cast<Register<float>>(_mm512_sqrt_ps(reinterpret_cast<__m512>(x)));
}
MATFAC_INLINE Register<double> square_roots(Register<double> x) {
  return reinterpret_cast<Register<double>>(_mm512_sqrt_pd(reinterpret_cast<__m512d>(x)));
}
MATFAC_INLINE bool all_above(Register<float> a, Register<float> b) {
  return _mm512_cmp_ps_mask(reinterpret_cast<__m512>(a), reinterpret_cast<__m512>(b), _CMP_GT_OQ) == 0xffff;
}
MATFAC_INLINE bool all_above(Register<double> a, Register<double> b) {
  return _mm512_cmp_pd_mask(reinterpret_cast<__m512d>(a), reinterpret_cast<__m512d>(b), _CMP_GT_OQ) == 0xff;
}
#elif defined(__AVX2__)
MATFAC_INLINE Register<float> square_roots(Register<float> x) {
  return reinterpret_cast<Register<float>>(_mm256_sqrt_ps(reinterpret_cast<__m256>(x)));
}
MATFAC_INLINE Register<double> square_roots(Register<double> x) {
  return reinterpret_cast<Register<double>>(_mm256_sqrt_pd(reinterpret_cast<__m256d>(x)));
}
MATFAC_INLINE bool all_above(Register<float> a, Register<float> b) {
  return _mm256_movemask_ps(_mm256_cmp_ps(reinterpret_cast<__m256>(a), reinterpret_cast<__m256>(b), _CMP_GT_OQ)) ==
         0xff;
}
MATFAC_INLINE bool all_above(Register<double> a, Register<double> b) {
  return _mm256_movemask_pd(_mm256_cmp_pd(reinterpret_cast<__m256d>(a), reinterpret_cast<__m256d>(b), _CMP_GT_OQ)) ==
         0xf;
}
#else
template <class R>
MATFAC_INLINE R square_roots(R x) {
  for (unsigned i = 0; i < sizeof(R) / sizeof(x[0]); ++i) x[i] = square_root(x[i]);
  return x;
}
template <class R>
MATFAC_INLINE bool all_above(R a, R b) {
  bool all = true;
  for (unsigned i = 0; i < sizeof(R) / sizeof(a[0]); ++i) all = all && a[i] > b[i];
  return all;
}
#endif

// 64 bytes of T: one, two or four registers.
template <class T>
struct Group {
  Register<T> r[kRegisters];
};

template <class T>
MATFAC_INLINE Group<T> load_group(const T* p) {
  Group<T> g;
  for (int i = 0; i < kRegisters; ++i) g.r[i] = load_register(p + i * kWidth<T>);
  return g;
}
template <class T>
MATFAC_INLINE void store_group(T* p, const Group<T>& g) {
  for (int i = 0; i < kRegisters; ++i) store_register(p + i * kWidth<T>, g.r[i]);
}
template <class T>
MATFAC_INLINE Group<T> splat_group(T x) {
  Group<T> g;
  for (int i = 0; i < kRegisters; ++i) g.r[i] = splat(x);
  return g;
}
template <class T>
MATFAC_INLINE Group<T> fma(const Group<T>& a, const Group<T>& b, const Group<T>& c) {
  Group<T> g;
  for (int i = 0; i < kRegisters; ++i) g.r[i] = fma(a.r[i], b.r[i], c.r[i]);
  return g;
}
template <class T>
MATFAC_INLINE Group<T> multiply(const Group<T>& a, const Group<T>& b) {
  Group<T> g;
  for (int i = 0; i < kRegisters; ++i) g.r[i] = a.r[i] * b.r[i];
  return g;
}
template <class T>
MATFAC_INLINE Group<T> add(const Group<T>& a, const Group<T>& b) {
  Group<T> g;
  for (int i = 0; i < kRegisters; ++i) g.r[i] = a.r[i] + b.r[i];
  return g;
}

// Loads the registers of a group of which only the first n entries, 0 <= n < kGroup, are there; the rest is zero, and
// is not touched.
template <class T>
class PartialGroup;
#if defined(__AVX512F__)
template <>
class PartialGroup<float> {
 public:
  explicit MATFAC_INLINE PartialGroup(Index n) : mask_(static_cast<__mmask16>((1U << n) - 1)) {}
  MATFAC_INLINE Register<float> operator()(const float* p, int) const {
    return reinterpret_cast<Register<float>>(_mm512_maskz_loadu_ps(mask_, p));
  }

 private:
  __mmask16 mask_;
};
template <>
class PartialGroup<double> {
 public:
  explicit MATFAC_INLINE PartialGroup(Index n) : mask_(static_cast<__mmask8>((1U << n) - 1)) {}
  MATFAC_INLINE Register<double> operator()(const double* p, int) const {
    return reinterpret_cast<Register<double>>(_mm512_maskz_loadu_pd(mask_, p));
  }

 private:
  __mmask8 mask_;
};
#elif defined(__AVX2__)
template <>
class PartialGroup<float> {
 public:
  explicit MATFAC_INLINE PartialGroup(Index n) {
    for (int i = 0; i < kRegisters; ++i) {
      const auto left = static_cast<int>(n - i * kWidth<float>);
      masks_[i] = _mm256_cmpgt_epi32(_mm256_set1_epi32(left), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    }
  }
  MATFAC_INLINE Register<float> operator()(const float* p, int i) const {
    return reinterpret_cast<Register<float>>(_mm256_maskload_ps(p + i * kWidth<float>, masks_[i]));
  }

 private:
  __m256i masks_[kRegisters];
};
template <>
class PartialGroup<double> {
 public:
  explicit MATFAC_INLINE PartialGroup(Index n) {
    for (int i = 0; i < kRegisters; ++i) {
      const long long left = n - i * kWidth<double>;
      masks_[i] = _mm256_cmpgt_epi64(_mm256_set1_epi64x(left), _mm256_setr_epi64x(0, 1, 2, 3));
    }
  }
  MATFAC_INLINE Register<double> operator()(const double* p, int i) const {
    return reinterpret_cast<Register<double>>(_mm256_maskload_pd(p + i * kWidth<double>, masks_[i]));
  }

 private:
  __m256i masks_[kRegisters];
};
#else
template <class T>
class PartialGroup {
 public:
  explicit MATFAC_INLINE PartialGroup(Index n) : n_(n) {}
  MATFAC_INLINE Register<T> operator()(const T* p, int i) const {
    Register<T> x{};
    for (Index j = 0; j < kWidth<T>; ++j) {
      if (i * kWidth<T> + j < n_) x[j] = p[i * kWidth<T> + j];
    }
    return x;
  }

 private:
  Index n_;
};
#endif

template <class T>
MATFAC_INLINE Group<T> load_partial(const T* p, const PartialGroup<T>& part) {
  Group<T> g;
  for (int i = 0; i < kRegisters; ++i) g.r[i] = part(p, i);
  return g;
}
template <class T>
MATFAC_INLINE Group<T> load_partial(const T* p, Index n) {
  return load_partial(p, PartialGroup<T>(n));
}

// A square of 16 bytes by 16 bytes, rows and columns exchanged; with registers of 32 bytes two, one above the other.
template <class T>
struct Square;
#if defined(__AVX2__)
template <>
struct Square<float> {
  static constexpr Index kItems = 8, kFactors = 4;
  typedef float Column __attribute__((vector_size(32), may_alias));
  static MATFAC_INLINE void load(const float* const (&rows)[8], Index f, Column (&columns)[4]) {
    __m256 r[4];
    for (int i = 0; i < 4; ++i) r[i] = _mm256_loadu2_m128(rows[i + 4] + f, rows[i] + f);
    const __m256 a = _mm256_unpacklo_ps(r[0], r[1]), b = _mm256_unpacklo_ps(r[2], r[3]);
    const __m256 c = _mm256_unpackhi_ps(r[0], r[1]), d = _mm256_unpackhi_ps(r[2], r[3]);
    columns[0] = reinterpret_cast<Column>(_mm256_shuffle_ps(a, b, 0x44));
    columns[1] = reinterpret_cast<Column>(_mm256_shuffle_ps(a, b, 0xee));
    columns[2] = reinterpret_cast<Column>(_mm256_shuffle_ps(c, d, 0x44));
    columns[3] = reinterpret_cast<Column>(_mm256_shuffle_ps(c, d, 0xee));
  }
};
template <>
struct Square<double> {
  static constexpr Index kItems = 4, kFactors = 2;
  typedef double Column __attribute__((vector_size(32), may_alias));
  static MATFAC_INLINE void load(const double* const (&rows)[4], Index f, Column (&columns)[2]) {
    __m256d r[2];
    for (int i = 0; i < 2; ++i) r[i] = _mm256_loadu2_m128d(rows[i + 2] + f, rows[i] + f);
    columns[0] = reinterpret_cast<Column>(_mm256_unpacklo_pd(r[0], r[1]));
    columns[1] = reinterpret_cast<Column>(_mm256_unpackhi_pd(r[0], r[1]));
  }
};
#else
template <>
struct Square<float> {
  static constexpr Index kItems = 4, kFactors = 4;
  typedef float Column __attribute__((vector_size(16), may_alias));
  typedef float Unaligned __attribute__((vector_size(16), aligned(4), may_alias));
  static MATFAC_INLINE void load(const float* const (&rows)[4], Index f, Column (&columns)[4]) {
    Column r[4];
    for (int i = 0; i < 4; ++i) r[i] = *reinterpret_cast<const Unaligned*>(rows[i] + f);
    const Column a = __builtin_shufflevector(r[0], r[1], 0, 4, 1, 5);
    const Column b = __builtin_shufflevector(r[2], r[3], 0, 4, 1, 5);
    const Column c = __builtin_shufflevector(r[0], r[1], 2, 6, 3, 7);
    const Column d = __builtin_shufflevector(r[2], r[3], 2, 6, 3, 7);
    columns[0] = __builtin_shufflevector(a, b, 0, 1, 4, 5);
    columns[1] = __builtin_shufflevector(a, b, 2, 3, 6, 7);
    columns[2] = __builtin_shufflevector(c, d, 0, 1, 4, 5);
    columns[3] = __builtin_shufflevector(c, d, 2, 3, 6, 7);
  }
};
template <>
struct Square<double> {
  static constexpr Index kItems = 2, kFactors = 2;
  typedef double Column __attribute__((vector_size(16), may_alias));
  typedef double Unaligned __attribute__((vector_size(16), aligned(8), may_alias));
  static MATFAC_INLINE void load(const double* const (&rows)[2], Index f, Column (&columns)[2]) {
    const Column a = *reinterpret_cast<const Unaligned*>(rows[0] + f);
    const Column b = *reinterpret_cast<const Unaligned*>(rows[1] + f);
    columns[0] = __builtin_shufflevector(a, b, 0, 2);
    columns[1] = __builtin_shufflevector(a, b, 1, 3);
  }
};
#endif

// The lower and upper half of a register added, until 16 bytes are left: lane i pairs with lane i + half.
#if defined(__AVX512F__)
MATFAC_INLINE __m128 fold(const Group<float>& g) {
  const __m512 x = reinterpret_cast<__m512>(g.r[0]);
  const __m256 high = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(x), 1));
  const __m256 y = _mm256_add_ps(_mm512_castps512_ps256(x), high);
  return _mm_add_ps(_mm256_castps256_ps128(y), _mm256_extractf128_ps(y, 1));
}
MATFAC_INLINE __m128d fold(const Group<double>& g) {
  const __m512d x = reinterpret_cast<__m512d>(g.r[0]);
  const __m256d y = _mm256_add_pd(_mm512_castpd512_pd256(x), _mm512_extractf64x4_pd(x, 1));
  return _mm_add_pd(_mm256_castpd256_pd128(y), _mm256_extractf128_pd(y, 1));
}
#elif defined(__AVX2__)
MATFAC_INLINE __m128 fold(const Group<float>& g) {
  const __m256 y = reinterpret_cast<__m256>(g.r[0] + g.r[1]);
  return _mm_add_ps(_mm256_castps256_ps128(y), _mm256_extractf128_ps(y, 1));
}
MATFAC_INLINE __m128d fold(const Group<double>& g) {
  const __m256d y = reinterpret_cast<__m256d>(g.r[0] + g.r[1]);
  return _mm_add_pd(_mm256_castpd256_pd128(y), _mm256_extractf128_pd(y, 1));
}
#else
template <class T>
MATFAC_INLINE Register<T> fold(const Group<T>& g) {
  return (g.r[0] + g.r[2]) + (g.r[1] + g.r[3]);
}
#endif

// The sum of all lanes, by a tree of fixed shape, the same at every level.
MATFAC_INLINE float sum(const Group<float>& g) {
  const auto x = fold(g);
  return (x[0] + x[2]) + (x[1] + x[3]);
}
MATFAC_INLINE double sum(const Group<double>& g) {
  const auto x = fold(g);
  return x[0] + x[1];
}

// Four numbers side by side, at every level: what is computed of four rows at once.
template <class T>
struct FourOf;
template <>
struct FourOf<float> {
  typedef float type __attribute__((vector_size(16)));
};
template <>
struct FourOf<double> {
  typedef double type __attribute__((vector_size(32)));
};
template <class T>
using Four = typename FourOf<T>::type;

template <class T>
MATFAC_INLINE Four<T> load_four(const T* p) {
  Four<T> x;
  __builtin_memcpy(&x, p, sizeof x);
  return x;
}
template <class T>
MATFAC_INLINE void store_four(T* p, const Four<T>& x) {
  __builtin_memcpy(p, &x, sizeof x);
}

// The sums of four groups, each added as sum() does it. By reference: how a vector of 32 bytes is passed depends on the
// level.
template <class T>
MATFAC_INLINE void sum_four(const Group<T> (&g)[4], Four<T>& sums) {
  for (int q = 0; q < 4; ++q) sums[q] = sum(g[q]);
}
#if defined(__AVX512F__)
MATFAC_INLINE void sum_four(const Group<float> (&g)[4], Four<float>& sums) {
  __m512 x[4];
  for (int q = 0; q < 4; ++q) x[q] = reinterpret_cast<__m512>(g[q].r[0]);
  const __m512 ab = _mm512_add_ps(_mm512_shuffle_f32x4(x[0], x[1], 0x44), _mm512_shuffle_f32x4(x[0], x[1], 0xee));
  const __m512 cd = _mm512_add_ps(_mm512_shuffle_f32x4(x[2], x[3], 0x44), _mm512_shuffle_f32x4(x[2], x[3], 0xee));
  // 16 bytes of each.
  __m512 y = _mm512_add_ps(_mm512_shuffle_f32x4(ab, cd, 0x88), _mm512_shuffle_f32x4(ab, cd, 0xdd));
  y = _mm512_add_ps(y, _mm512_permute_ps(y, 0x4e));
  y = _mm512_add_ps(y, _mm512_permute_ps(y, 0xb1));
  const __m512i first = _mm512_setr_epi32(0, 4, 8, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
  sums = reinterpret_cast<Four<float>>(_mm512_castps512_ps128(_mm512_permutexvar_ps(first, y)));
}
#elif defined(__AVX2__)
MATFAC_INLINE void sum_four(const Group<float> (&g)[4], Four<float>& sums) {
  __m256 x[4];
  for (int q = 0; q < 4; ++q) x[q] = reinterpret_cast<__m256>(g[q].r[0] + g[q].r[1]);
  const __m256 ab = _mm256_add_ps(_mm256_permute2f128_ps(x[0], x[1], 0x20), _mm256_permute2f128_ps(x[0], x[1], 0x31));
  const __m256 cd = _mm256_add_ps(_mm256_permute2f128_ps(x[2], x[3], 0x20), _mm256_permute2f128_ps(x[2], x[3], 0x31));
  const __m256 y = _mm256_add_ps(_mm256_unpacklo_ps(ab, cd), _mm256_unpackhi_ps(ab, cd));
  const __m128 ac = _mm256_castps256_ps128(y), bd = _mm256_extractf128_ps(y, 1);
  sums = reinterpret_cast<Four<float>>(_mm_add_ps(_mm_unpacklo_ps(ac, bd), _mm_unpackhi_ps(ac, bd)));
}
#else
MATFAC_INLINE void sum_four(const Group<float> (&g)[4], Four<float>& sums) {
  const Register<float> a = fold(g[0]), b = fold(g[1]), c = fold(g[2]), d = fold(g[3]);
  const Register<float> ab = __builtin_shufflevector(a, b, 0, 4, 1, 5) + __builtin_shufflevector(a, b, 2, 6, 3, 7);
  const Register<float> cd = __builtin_shufflevector(c, d, 0, 4, 1, 5) + __builtin_shufflevector(c, d, 2, 6, 3, 7);
  sums = __builtin_shufflevector(ab, cd, 0, 1, 4, 5) + __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
}
#endif

MATFAC_INLINE Index min_index(Index a, Index b) { return a < b ? a : b; }

// a . b over `n` entries, n a multiple of the group, before its lanes are added.
template <class T>
MATFAC_INLINE Group<T> dot_lanes(const T* a, const T* b, Index n) {
  Group<T> s = multiply(load_group(a), load_group(b));
  for (Index f = kGroup<T>; f < n; f += kGroup<T>) s = fma(load_group(a + f), load_group(b + f), s);
  return s;
}
template <class T>
MATFAC_INLINE T dot_groups(const T* a, const T* b, Index n) {
  return sum(dot_lanes(a, b, n));
}

// y += a x over `n` entries, n a multiple of the group.
template <class T>
MATFAC_INLINE void add_scaled(T a, const T* x, T* y, Index n) {
  const Group<T> scale = splat_group(a);
  for (Index f = 0; f < n; f += kGroup<T>) store_group(y + f, fma(scale, load_group(x + f), load_group(y + f)));
}

// Calls f with the row length as a compile-time constant where it is a common one, so that the loops unroll.
template <class T>
struct FixedLength {
  template <int kGroups>
  struct Constant {
    static constexpr Index kValue = kGroups * kGroup<T>;
    constexpr operator Index() const { return kValue; }
  };
};
template <class T, class F>
MATFAC_INLINE auto with_length(Index stride, const F& f) {
  switch (stride / kGroup<T>) {
    case 1: return f(typename FixedLength<T>::template Constant<1>{});
    case 2: return f(typename FixedLength<T>::template Constant<2>{});
    case 3: return f(typename FixedLength<T>::template Constant<3>{});
    case 4: return f(typename FixedLength<T>::template Constant<4>{});
    case 6: return f(typename FixedLength<T>::template Constant<6>{});
    case 8: return f(typename FixedLength<T>::template Constant<8>{});
    default: return f(stride);
  }
}

}  // namespace
}  // namespace matfac
