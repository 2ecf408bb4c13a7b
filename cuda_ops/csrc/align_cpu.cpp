// RoIAlign and RoDAlign on the CPU. Forward: boxes in parallel. Backward: channels in parallel, so
// that no two threads write to the same map and the result does not depend on their number.
#include "arguments.h"
#include "sampling.h"

namespace s2cnet {
namespace {

constexpr int64_t kGrain = 16;  // minimum number of boxes per thread

// The positions of a box's points along both axes, which all channels share.
template <typename T, template <typename> class Points>
struct Grid {
  int64_t batch;
  std::vector<Position<T>> rows, columns;
  std::vector<char> row_inside, column_inside;

  Grid(const T* roi, T scale, const Sizes& n) {
    const Box<T> box(roi, scale);
    const Points<T> points(box, n.height, n.width, n.size);
    batch = box.batch;
    for (int64_t i = 0; i <= n.size; ++i) {
      rows.emplace_back(points.row(i), n.height);
      columns.emplace_back(points.column(i), n.width);
      row_inside.push_back(points.row_inside(points.row(i)));
      column_inside.push_back(points.column_inside(points.column(i)));
    }
  }

  bool reads(int64_t p, int64_t q) const {
    return Points<T>::reads(row_inside[p], column_inside[q]);
  }
};

template <typename T>
void check_batch_indices(const T* rois, const Sizes& n) {
  for (int64_t k = 0; k < n.boxes; ++k) {
    const T batch = rois[5 * k];
    STD_TORCH_CHECK(
        batch > -1 && batch < n.batch, "rois name a batch index that is not in 0..", n.batch - 1);
  }
}

template <typename Value, template <typename> class Points>
void forward_box(
    const Value* features, const Compute<Value>* roi, Compute<Value> scale, const Sizes& n,
    std::vector<Compute<Value>>& points, Value* output) {
  using T = Compute<Value>;
  const Grid<T, Points> grid(roi, scale, n);
  const int64_t side = n.size + 1;
  for (int64_t c = 0; c < n.channels; ++c) {
    const Value* map = features + (grid.batch * n.channels + c) * n.cells();
    for (int64_t p = 0; p < side; ++p) {
      for (int64_t q = 0; q < side; ++q) {
        points[p * side + q] = grid.reads(p, q)
            ? read_point<T>(map, n.width, grid.rows[p], grid.columns[q])
            : static_cast<T>(0);
      }
    }
    for (int64_t p = 0; p < n.size; ++p) {
      for (int64_t q = 0; q < n.size; ++q) {
        const T* corner = points.data() + p * side + q;
        const T sum = corner[0] + corner[1] + corner[side] + corner[side + 1];
        *output++ = static_cast<Value>(sum / static_cast<T>(4));
      }
    }
  }
}

template <template <typename> class Points>
Tensor forward(const Tensor& features, const Tensor& rois, int64_t output_size, double scale) {
  STD_TORCH_CHECK(features.dim() == 4, "features must be [B, C, H, W]");
  const Sizes n = sizes_of(
      rois, features.size(0), features.size(1), features.size(2), features.size(3), output_size);
  Tensor output = torch::stable::new_empty(features, {n.boxes, n.channels, n.size, n.size});
  dispatch(features.scalar_type(), [&](auto zero) {
    using Value = decltype(zero);
    using T = Compute<Value>;
    const Tensor maps = torch::stable::contiguous(features);
    const Tensor boxes = as(rois, kCompute<Value>);
    const Value* from = maps.template const_data_ptr<Value>();
    const T* box = boxes.template const_data_ptr<T>();
    Value* to = output.template mutable_data_ptr<Value>();
    check_batch_indices(box, n);
    torch::stable::parallel_for(0, n.boxes, kGrain, [&](int64_t begin, int64_t end) {
      std::vector<T> points(n.points());
      for (int64_t k = begin; k < end; ++k) {
        forward_box<Value, Points>(
            from, box + 5 * k, static_cast<T>(scale), n, points,
            to + k * n.channels * n.averages());
      }
    });
  });
  return output;
}

// Adds one channel's share of one box to its map.
template <typename Value, template <typename> class Points>
void backward_box(
    const Value* gradient, const Grid<Compute<Value>, Points>& grid, const Sizes& n,
    Compute<Value>* map) {
  using T = Compute<Value>;
  const T one = 1;
  for (int64_t p = 0; p <= n.size; ++p) {
    for (int64_t q = 0; q <= n.size; ++q) {
      if (!grid.reads(p, q)) continue;
      const T value = gradient_at<T>(gradient, n.size, p, q);
      const Position<T> y = grid.rows[p], x = grid.columns[q];
      T* cell = map + y.cell * n.width + x.cell;
      cell[0] += value * ((one - y.share) * (one - x.share));
      cell[1] += value * ((one - y.share) * x.share);
      cell[n.width] += value * (y.share * (one - x.share));
      cell[n.width + 1] += value * (y.share * x.share);
    }
  }
}

template <template <typename> class Points>
Tensor backward(
    const Tensor& grad, const Tensor& rois, std::vector<int64_t> size, int64_t output_size,
    double scale) {
  STD_TORCH_CHECK(size.size() == 4, "size must be [B, C, H, W]");
  const Sizes n = sizes_of(rois, size[0], size[1], size[2], size[3], output_size);
  Tensor result = grad;
  dispatch(grad.scalar_type(), [&](auto zero) {
    using Value = decltype(zero);
    using T = Compute<Value>;
    const Tensor gradients = torch::stable::contiguous(grad);
    const Tensor boxes = as(rois, kCompute<Value>);
    Tensor sums = torch::stable::new_zeros(grad, size, kCompute<Value>);
    const Value* from = gradients.template const_data_ptr<Value>();
    const T* box = boxes.template const_data_ptr<T>();
    T* to = sums.template mutable_data_ptr<T>();
    check_batch_indices(box, n);
    std::vector<Grid<T, Points>> grids;
    for (int64_t k = 0; k < n.boxes; ++k) grids.emplace_back(box + 5 * k, static_cast<T>(scale), n);
    torch::stable::parallel_for(0, n.channels, 1, [&](int64_t begin, int64_t end) {
      for (int64_t k = 0; k < n.boxes; ++k) {
        for (int64_t c = begin; c < end; ++c) {
          backward_box<Value, Points>(
              from + (k * n.channels + c) * n.averages(), grids[k], n,
              to + (grids[k].batch * n.channels + c) * n.cells());
        }
      }
    });
    result = torch::stable::to(sums, grad.scalar_type());
  });
  return result;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(s2cnet, CPU, m) {
  m.impl("roi_align", TORCH_BOX(&forward<RoiPoints>));
  m.impl("rod_align", TORCH_BOX(&forward<RodPoints>));
  m.impl("roi_align_backward", TORCH_BOX(&backward<RoiPoints>));
  m.impl("rod_align_backward", TORCH_BOX(&backward<RodPoints>));
}

}  // namespace s2cnet
