// Rows of ALS in batches: each is accumulated into a system, by its factors or by its ratings, and the systems are
// solved side by side (lane_systems.inl), or one by one where that does not pay. A row's bits are the same in both
// ways.

namespace matfac {
namespace {

// Systems beyond this are solved one by one: the lanes would not stay in the second-level cache.
constexpr Index kMostInLanes = 80;

MATFAC_INLINE Index lane_rows(Index n) { return (n + kBand - 1) / kBand * kBand; }
template <class T>
Index batch_rows(Index size) {
  return size <= kMostInLanes ? kWidth<T> : 1;
}

// A batch's memory: the systems of its rows one after the other, the roots of the weights of rows that are solved by
// their ratings, then the lanes.
template <class T>
struct BatchMemory {
  MATFAC_INLINE explicit BatchMemory(const RowBatch<T>& batch)
      : size(lane_rows(batch.size)),
        stride(padded_width<T>(batch.size)),
        systems(batch.memory),
        roots(systems + batch_rows<T>(batch.size) * row_system_size<T>(stride)),
        lanes(roots + batch_rows<T>(batch.size) * stride, size) {}

  MATFAC_INLINE RowSystem<T> system(Index s) const { return {systems + s * row_system_size<T>(stride), stride}; }
  MATFAC_INLINE T* roots_of(Index s) const { return roots + s * stride; }

  static Index entries(Index size) {
    const Index stride = padded_width<T>(size), n = batch_rows<T>(size);
    return n * (row_system_size<T>(stride) + stride) + (n > 1 ? LaneSystems<T>::memory(lane_rows(size)) : 0);
  }

  Index size, stride;
  T *systems, *roots;
  LaneSystems<T> lanes;
};
template <class T>
Index row_batch_memory(Index n_factors) {
  // Rows that are solved by their ratings have any size up to n_factors.
  const Index whole = BatchMemory<T>::entries(n_factors);
  const Index lanes = BatchMemory<T>::entries(min_index(n_factors, kMostInLanes));
  return whole > lanes ? whole : lanes;
}

// panel[f][i] *= roots[i]; `roots` is filled up with zeros, as the panel is.
template <class T>
MATFAC_INLINE void scale_columns(T* roots, Index n, Index n_factors, Index stride, T* panel) {
  for (Index i = n; i < stride; ++i) roots[i] = T(0);
  for (Index f = 0; f < n_factors; ++f) {
    T* const row = panel + f * stride;
    for (Index i = 0; i < stride; i += kGroup<T>) {
      store_group(row + i, multiply(load_group(roots + i), load_group(row + i)));
    }
  }
}

// K of a row with few ratings; its right-hand sides, t and 1, become those of the system.
template <class T>
MATFAC_INLINE void accumulate_by_ratings(const RowProblem<T>& p, const BatchMemory<T>& memory, Index s, T* panels) {
  const Index stride = memory.stride, lda = system_lda<T>(stride);
  const RowSystem<T> system = memory.system(s);
  const RowPanels<T> w(panels, padded_width<T>(p.n_factors));
  gather_columns(p, p.n, stride, w.panel, w.left);
  if (p.weights == nullptr) {
    gather_targets(p, 0, p.n, system.h);
    for (Index i = 0; i < p.n; ++i) w.roots[i] = T(1);
  } else {
    gather_weights(p, 0, p.n, system.h, w.roots);
    scale_columns(w.roots, p.n, p.n_factors, stride, w.panel);
    for (Index i = 0; i < p.n; ++i) system.h[i] = w.roots[i] > T(0) ? system.h[i] / w.roots[i] : T(0);
  }
  for (Index i = 0; i < p.n; ++i) memory.roots_of(s)[i] = system.h[stride + i] = w.roots[i];
  Prefetch<T> ahead(p, p.next_codes, p.next_codes + p.n_next);
  update_upper(w.panel, w.panel, p.n_factors, stride, memory.size, true, system.a, lda, ahead);
}

// Accumulates a row's system and puts it into the batch.
template <class T>
void add_to_batch(RowBatch<T>& batch, const RowProblem<T>& p, T* solution, T* bias, T* panels) {
  const BatchMemory<T> memory(batch);
  const Index s = batch.n++;
  batch.rows[s] = {.problem = p, .solution = solution, .bias = bias};
  if (batch.by_ratings) {
    accumulate_by_ratings(p, memory, s, panels);
  } else {
    batch.rows[s].total = accumulate_row(p, 0, p.n, true, memory.system(s).a, panels);
  }
}

// Puts the systems into the lanes; those that no row has repeat the first.
template <class T>
MATFAC_INLINE void load_lanes(const RowBatch<T>& batch, const BatchMemory<T>& memory) {
  RowSystem<T> systems[kWidth<T>];
  Register<T> penalties, smallest, sizes;
  for (Index s = 0; s < kWidth<T>; ++s) {
    const Index source = s < batch.n ? s : 0;
    const RowProblem<T>& p = batch.rows[source].problem;
    systems[s] = memory.system(source);
    if (s == source && !batch.by_ratings) add_base(p, systems[s], memory.stride);
    penalties[s] = p.regularization;
    smallest[s] = negligible(p, batch.by_ratings);
    sizes[s] = static_cast<T>(system_order(p, batch.by_ratings));
  }
  memory.lanes.take(systems, memory.stride);
  memory.lanes.penalize(penalties, smallest, sizes);
}

// z . y and y . y, z . z of all lanes.
template <class T>
struct LaneProducts {
  typedef double Doubles __attribute__((vector_size(8 * kWidth<T>)));
  Doubles zy = {}, zz = {}, yy = {};

  MATFAC_INLINE LaneProducts(const LaneSystems<T>& lanes, Index size) {
    for (Index i = 0; i < size; ++i) {
      const Doubles y = __builtin_convertvector(load_register(lanes.entry(i, size)), Doubles);
      const Doubles z = __builtin_convertvector(load_register(lanes.entry(i, size + 1)), Doubles);
      zy += z * y;
      zz += z * z;
      yy += y * y;
    }
  }
};

// V^T y, the roots of the weights with it.
template <class T>
MATFAC_INLINE void combine_ratings(const RowProblem<T>& p, const T* y, T* solution) {
  const Index whole = p.n_factors / kGroup<T> * kGroup<T>;
  for (Index f = 0; f < whole; f += kGroup<T>) {
    Group<T> sum = splat_group(T(0));
    for (Index i = 0; i < p.n; ++i) {
      sum = fma(splat_group(y[i]), load_group(p.fixed + p.codes[i] * p.fixed_stride + f), sum);
    }
    store_group(solution + f, sum);
  }
  if (whole == p.n_factors) return;
  const PartialGroup<T> part(p.n_factors - whole);
  Group<T> sum = splat_group(T(0));
  for (Index i = 0; i < p.n; ++i) {
    sum = fma(splat_group(y[i]), load_partial(p.fixed + p.codes[i] * p.fixed_stride + whole, part), sum);
  }
  alignas(64) T last[kGroup<T>];
  store_group(last, sum);
  for (Index f = whole; f < p.n_factors; ++f) solution[f] = last[f - whole];
}

// Writes a row's solution, given entry i of its system's as x[i * step].
template <class T>
MATFAC_INLINE void write_solution(const RowTask<T>& row, bool by_ratings, const T* x, Index step, T* roots) {
  if (by_ratings) {
    for (Index i = 0; i < row.problem.n; ++i) roots[i] *= x[i * step];
    combine_ratings(row.problem, roots, row.solution);
  } else {
    for (Index f = 0; f < row.problem.n_factors; ++f) row.solution[f] = x[f * step];
  }
}

// All side by side.
template <class T>
MATFAC_INLINE void solve_in_lanes(RowBatch<T>& batch, const BatchMemory<T>& memory) {
  const LaneSystems<T>& lanes = memory.lanes;
  const Index size = memory.size;
  load_lanes(batch, memory);
  Index failed[kWidth<T>];
  for (Index s = 0; s < kWidth<T>; ++s) failed[s] = -1;
  lanes.factorize(failed);
  const LaneProducts<T> products(lanes, size);
  Register<T> biases = splat(T(0));
  for (Index s = 0; s < batch.n; ++s) {
    RowTask<T>& row = batch.rows[s];
    row.failed = failed[s];
    row.zy = products.zy[s];
    row.yy = products.yy[s];
    biases[s] = solve_bias(row, batch.by_ratings, products.zz[s]);
  }
  for (Index i = 0; i < size; ++i) {
    const Register<T> y = load_register(lanes.entry(i, size)), z = load_register(lanes.entry(i, size + 1));
    store_register(lanes.x(i), fnma(biases, z, y));
  }
  lanes.back_substitute();
  for (Index s = 0; s < batch.n; ++s) {
    if (batch.rows[s].failed >= 0) continue;
    write_solution(batch.rows[s], batch.by_ratings, lanes.x(0) + s, kWidth<T>, memory.roots_of(s));
  }
}

// Solves the rows of the batch; `failed` of each says whether that went well.
template <class T>
void solve_batch(RowBatch<T>& batch) {
  const BatchMemory<T> memory(batch);
  // What is done for all lanes takes the time of several rows.
  if (batch_rows<T>(batch.size) > 1 && 4 * batch.n > kWidth<T>) return solve_in_lanes(batch, memory);
  for (Index s = 0; s < batch.n; ++s) {
    RowTask<T>& row = batch.rows[s];
    const RowSystem<T> system = memory.system(s);
    solve_system(row, batch.by_ratings, system, memory.stride);
    if (row.failed < 0) write_solution(row, batch.by_ratings, system.x, 1, memory.roots_of(s));
  }
}

}  // namespace
}  // namespace matfac
