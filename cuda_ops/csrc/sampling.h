// Where RoIAlign and RoDAlign read, shared by the CPU and CUDA kernels.
//
// The arithmetic is that of cuda_ops/reference.py, operation by operation, and is compiled without
// fused multiply-adds: a point that lies exactly on an edge must fall on the same side everywhere.
//
// T is the type of the computation: double for double, float for float, half and bfloat16.
#pragma once

#include <cstdint>

#ifdef __CUDACC__
#define SAMPLING_FUNCTION __host__ __device__ __forceinline__
#else
#define SAMPLING_FUNCTION inline
#endif

namespace s2cnet {

// Sizes of one call: K boxes on B maps of C x height x width, averaged to A x A.
struct Sizes {
  int64_t boxes, batch, channels, height, width, size;

  SAMPLING_FUNCTION int64_t cells() const { return height * width; }
  SAMPLING_FUNCTION int64_t averages() const { return size * size; }
  SAMPLING_FUNCTION int64_t points() const { return (size + 1) * (size + 1); }
};

// One box in feature cells, with the index of its map.
template <typename T>
struct Box {
  T x0, y0, x1, y1;
  int64_t batch;

  // row: (batch index, x0, y0, x1, y1) in input pixels.
  SAMPLING_FUNCTION Box(const T* row, T scale)
      : x0(row[1] * scale),
        y0(row[2] * scale),
        x1(row[3] * scale),
        y1(row[4] * scale),
        batch(static_cast<int64_t>(row[0])) {}
};

// (A + 1) x (A + 1) points over the box; those outside the map read nothing.
template <typename T>
struct RoiPoints {
  T y0, x0, step_y, step_x;
  int64_t height, width;

  SAMPLING_FUNCTION RoiPoints(const Box<T>& box, int64_t height, int64_t width, int64_t size)
      : y0(box.y0),
        x0(box.x0),
        step_y(extent(box.y0, box.y1) / static_cast<T>(size)),
        step_x(extent(box.x0, box.x1) / static_cast<T>(size)),
        height(height),
        width(width) {}

  SAMPLING_FUNCTION static T extent(T low, T high) {
    const T cells = high - low + static_cast<T>(1);
    return cells > static_cast<T>(0) ? cells : static_cast<T>(0);
  }
  SAMPLING_FUNCTION T row(int64_t p) const { return y0 + static_cast<T>(p) * step_y; }
  SAMPLING_FUNCTION T column(int64_t q) const { return x0 + static_cast<T>(q) * step_x; }
  SAMPLING_FUNCTION bool row_inside(T row) const {
    return row >= 0 && row < static_cast<T>(height);
  }
  SAMPLING_FUNCTION bool column_inside(T column) const {
    return column >= 0 && column < static_cast<T>(width);
  }
  SAMPLING_FUNCTION static bool reads(bool row_inside, bool column_inside) {
    return row_inside && column_inside;  // of the map
  }
};

// (A + 1) x (A + 1) points over the whole map; those inside the box read nothing.
template <typename T>
struct RodPoints {
  Box<T> box;
  T step_y, step_x;

  SAMPLING_FUNCTION RodPoints(const Box<T>& box, int64_t height, int64_t width, int64_t size)
      : box(box), step_y(step(height, size)), step_x(step(width, size)) {}

  SAMPLING_FUNCTION static T step(int64_t side, int64_t size) {
    return static_cast<T>((static_cast<double>(side) - 1.001) / static_cast<double>(size));
  }
  SAMPLING_FUNCTION T row(int64_t p) const { return static_cast<T>(p) * step_y; }
  SAMPLING_FUNCTION T column(int64_t q) const { return static_cast<T>(q) * step_x; }
  SAMPLING_FUNCTION bool row_inside(T row) const { return row >= box.y0 && row <= box.y1; }
  SAMPLING_FUNCTION bool column_inside(T column) const {
    return column >= box.x0 && column <= box.x1;
  }
  SAMPLING_FUNCTION static bool reads(bool row_inside, bool column_inside) {
    return !(row_inside && column_inside);  // of the box
  }
};

// The cell at or below a position, at most the last but one, and the distance from it.
template <typename T>
struct Position {
  int64_t cell;
  T share;

  // Positions that are not read may be anywhere; they still get a valid cell.
  SAMPLING_FUNCTION Position(T position, int64_t side) {
    const bool ahead = position >= 0 && position < static_cast<T>(side);
    const int64_t below = ahead ? static_cast<int64_t>(position) : 0;
    cell = below < side - 2 ? below : side - 2;
    share = position - static_cast<T>(cell);  // 1 or more from the last cell on: extrapolation
  }
};

// The value of one map [height, width] at a point.
template <typename T, typename Value>
SAMPLING_FUNCTION T read_point(const Value* map, int64_t width, Position<T> y, Position<T> x) {
  const Value* cell = map + y.cell * width + x.cell;
  const T one = static_cast<T>(1);
  return static_cast<T>(cell[0]) * ((one - y.share) * (one - x.share)) +
      static_cast<T>(cell[1]) * ((one - y.share) * x.share) +
      static_cast<T>(cell[width]) * (y.share * (one - x.share)) +
      static_cast<T>(cell[width + 1]) * (y.share * x.share);
}

// The gradient at point (p, q) of the (A + 1) x (A + 1) grid, from the gradients [A, A] of its
// averages.
template <typename T, typename Value>
SAMPLING_FUNCTION T gradient_at(const Value* gradient, int64_t size, int64_t p, int64_t q) {
  T sum = 0;
  for (int64_t i = p > 0 ? p - 1 : 0; i <= p && i < size; ++i) {
    for (int64_t j = q > 0 ? q - 1 : 0; j <= q && j < size; ++j) {
      sum += static_cast<T>(gradient[i * size + j]);
    }
  }
  return sum / static_cast<T>(4);
}

}  // namespace s2cnet
