// Least squares where the normal equations are singular: by the eigenvalues of A'A + P or, where nothing is penalized
// and the rows are fewer than the columns, of AA'. Both give the pseudoinverse:
//
//   x = (A'A + P)^+ A'r,        x = A' (AA')^+ r        (the second if P = 0)
//
// The eigenvectors come from Jacobi's rotations: slow beside tridiagonalization, but such rows are few, and no other
// way finds small eigenvalues of a semidefinite matrix as exactly in as few lines.
// G. H. Golub, C. F. Van Loan: Matrix Computations, 4th ed., sections 5.5 and 8.5.

#include "solvers/als/least_norm.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

namespace matfac::als {
namespace {

/// A square matrix, row-major.
class Square {
 public:
  explicit Square(std::size_t size) : size_(size), values_(size * size, 0.0) {}
  std::size_t size() const { return size_; }
  double* row(std::size_t i) { return values_.data() + i * size_; }
  const double* row(std::size_t i) const { return values_.data() + i * size_; }

 private:
  std::size_t size_;
  std::vector<double> values_;
};

void rotate(double* p, double* q, std::size_t stride, std::size_t n, double cosine, double sine) {
  for (std::size_t i = 0; i < n; ++i, p += stride, q += stride) {
    const double x = *p, y = *q;
    *p = cosine * x - sine * y;
    *q = sine * x + cosine * y;
  }
}

/// Makes the symmetric `a` diagonal by rotations of rows and columns; the rows of `vectors` become its eigenvectors.
void diagonalize(Square& a, Square& vectors) {
  const std::size_t n = a.size();
  for (std::size_t i = 0; i < n; ++i) vectors.row(i)[i] = 1.0;
  double norm = 0;
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < n; ++j) norm = std::max(norm, std::abs(a.row(i)[j]));
  }
  // The sweeps converge quadratically: six to ten are usual, and more do no harm.
  constexpr int kMaxSweeps = 50;
  const double negligible = norm * std::numeric_limits<double>::epsilon() / 16;
  bool is_diagonal = norm == 0;
  for (int sweep = 0; sweep < kMaxSweeps && !is_diagonal; ++sweep) {
    is_diagonal = true;
    for (std::size_t p = 0; p + 1 < n; ++p) {
      for (std::size_t q = p + 1; q < n; ++q) {
        const double off = a.row(p)[q];
        if (std::abs(off) <= negligible) continue;
        is_diagonal = false;
        // The smaller of the two angles with tan(2 angle) = 2 a_pq / (a_qq - a_pp).
        const double theta = (a.row(q)[q] - a.row(p)[p]) / (2 * off);
        const double tangent = (theta < 0 ? -1 : 1) / (std::abs(theta) + std::hypot(theta, 1.0));
        const double cosine = 1 / std::hypot(tangent, 1.0), sine = tangent * cosine;
        rotate(a.row(p), a.row(q), 1, n, cosine, sine);
        rotate(a.row(0) + p, a.row(0) + q, n, n, cosine, sine);
        rotate(vectors.row(p), vectors.row(q), 1, n, cosine, sine);
        a.row(p)[q] = a.row(q)[p] = 0;
      }
    }
  }
}

/// a^+ h for a symmetric and positive semidefinite `a`, which is overwritten.
std::vector<double> pseudoinverse_times(Square& a, const std::vector<double>& h) {
  const std::size_t n = a.size();
  Square vectors(n);
  diagonalize(a, vectors);
  double largest = 0;
  for (std::size_t i = 0; i < n; ++i) largest = std::max(largest, a.row(i)[i]);
  const double zero = largest * static_cast<double>(n) * 1e-13;
  std::vector<double> x(n, 0.0);
  for (std::size_t i = 0; i < n; ++i) {
    const double eigenvalue = a.row(i)[i];
    if (!(eigenvalue > zero)) continue;
    const double* const vector = vectors.row(i);
    double coordinate = 0;
    for (std::size_t j = 0; j < n; ++j) coordinate += vector[j] * h[j];
    for (std::size_t j = 0; j < n; ++j) x[j] += coordinate / eigenvalue * vector[j];
  }
  return x;
}

std::vector<double> transposed_times(const std::vector<double>& a, const std::vector<double>& r, std::size_t columns) {
  std::vector<double> h(columns, 0.0);
  for (std::size_t i = 0; i < r.size(); ++i) {
    for (std::size_t f = 0; f < columns; ++f) h[f] += a[i * columns + f] * r[i];
  }
  return h;
}

}  // namespace

std::vector<double> least_norm_of_system(const std::vector<double>& a, const std::vector<double>& h) {
  Square system(h.size());
  std::copy(a.begin(), a.end(), system.row(0));
  return pseudoinverse_times(system, h);
}

std::vector<double> least_norm(const std::vector<double>& a, const std::vector<double>& r,
                               const std::vector<double>& penalties) {
  const std::size_t rows = r.size(), columns = penalties.size();
  const bool is_free = std::all_of(penalties.begin(), penalties.end(), [](double p) { return p == 0; });
  if (is_free && rows < columns) {
    Square gram(rows);
    for (std::size_t i = 0; i < rows; ++i) {
      for (std::size_t j = 0; j < rows; ++j) {
        for (std::size_t f = 0; f < columns; ++f) gram.row(i)[j] += a[i * columns + f] * a[j * columns + f];
      }
    }
    return transposed_times(a, pseudoinverse_times(gram, r), columns);
  }
  Square gram(columns);
  for (std::size_t i = 0; i < rows; ++i) {
    const double* const row = a.data() + i * columns;
    for (std::size_t f = 0; f < columns; ++f) {
      for (std::size_t g = 0; g < columns; ++g) gram.row(f)[g] += row[f] * row[g];
    }
  }
  for (std::size_t f = 0; f < columns; ++f) gram.row(f)[f] += penalties[f];
  return pseudoinverse_times(gram, transposed_times(a, r, columns));
}

}  // namespace matfac::als
