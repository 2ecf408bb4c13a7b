// RoIAlign and RoDAlign on CUDA. Forward: a thread per average. Backward: a thread per grid point,
// adding to float32 (or float64) sums with atomics, so the last bits depend on the order.
#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/macros.h>

#include <algorithm>

#include "arguments.h"
#include "sampling.h"

namespace s2cnet {
namespace {

constexpr int kThreads = 256;
constexpr int64_t kMostBlocks = 1 << 20;  // each thread strides over the rest

// An invalid batch index gives NaN: it must neither go unnoticed nor read foreign memory.
template <typename T>
__device__ bool known(T index, const Sizes& n) {
  return index > -1 && index < static_cast<T>(n.batch);
}

template <typename Value, template <typename> class Points>
__global__ void forward_kernel(
    const Value* features, const Compute<Value>* rois, Compute<Value> scale, Sizes n,
    Value* output) {
  using T = Compute<Value>;
  const int64_t total = n.boxes * n.channels * n.averages();
  const int64_t stride = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < total;
       i += stride) {
    const int64_t q = i % n.size, p = i / n.size % n.size;
    const int64_t c = i / n.averages() % n.channels, k = i / n.averages() / n.channels;
    const Box<T> box(rois + 5 * k, scale);
    if (!known(rois[5 * k], n)) {
      output[i] = static_cast<Value>(nanf(""));
      continue;
    }
    const Points<T> points(box, n.height, n.width, n.size);
    const Value* map = features + (box.batch * n.channels + c) * n.cells();
    T sum = 0;
    for (int64_t dp = 0; dp < 2; ++dp) {
      for (int64_t dq = 0; dq < 2; ++dq) {
        const T row = points.row(p + dp), column = points.column(q + dq);
        if (!Points<T>::reads(points.row_inside(row), points.column_inside(column))) continue;
        sum +=
            read_point<T>(map, n.width, Position<T>(row, n.height), Position<T>(column, n.width));
      }
    }
    output[i] = static_cast<Value>(sum / static_cast<T>(4));
  }
}

template <typename Value, template <typename> class Points>
__global__ void backward_kernel(
    const Value* gradients, const Compute<Value>* rois, Compute<Value> scale, Sizes n,
    Compute<Value>* sums) {
  using T = Compute<Value>;
  const int64_t side = n.size + 1, total = n.boxes * n.channels * n.points();
  const int64_t stride = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < total;
       i += stride) {
    const int64_t q = i % side, p = i / side % side;
    const int64_t c = i / n.points() % n.channels, k = i / n.points() / n.channels;
    const Box<T> box(rois + 5 * k, scale);
    if (!known(rois[5 * k], n)) continue;
    const Points<T> points(box, n.height, n.width, n.size);
    const T row = points.row(p), column = points.column(q);
    if (!Points<T>::reads(points.row_inside(row), points.column_inside(column))) continue;
    const T value = gradient_at<T>(gradients + (k * n.channels + c) * n.averages(), n.size, p, q);
    const Position<T> y(row, n.height), x(column, n.width);
    T* cell = sums + (box.batch * n.channels + c) * n.cells() + y.cell * n.width + x.cell;
    const T one = 1;
    atomicAdd(cell, value * ((one - y.share) * (one - x.share)));
    atomicAdd(cell + 1, value * ((one - y.share) * x.share));
    atomicAdd(cell + n.width, value * (y.share * (one - x.share)));
    atomicAdd(cell + n.width + 1, value * (y.share * x.share));
  }
}

cudaStream_t current_stream(const Tensor& tensor) {
  void* stream = nullptr;
  STD_TORCH_CHECK(
      aoti_torch_get_current_cuda_stream(tensor.get_device_index(), &stream) == 0,
      "torch gave no CUDA stream");
  return static_cast<cudaStream_t>(stream);
}

unsigned blocks_for(int64_t items) {
  return static_cast<unsigned>(std::min((items + kThreads - 1) / kThreads, kMostBlocks));
}

template <template <typename> class Points>
Tensor forward(const Tensor& features, const Tensor& rois, int64_t output_size, double scale) {
  STD_TORCH_CHECK(features.dim() == 4, "features must be [B, C, H, W]");
  const Sizes n = sizes_of(
      rois, features.size(0), features.size(1), features.size(2), features.size(3), output_size);
  const torch::stable::accelerator::DeviceGuard guard(features.get_device_index());
  Tensor output = torch::stable::new_empty(features, {n.boxes, n.channels, n.size, n.size});
  if (output.numel() == 0) return output;
  dispatch(features.scalar_type(), [&](auto zero) {
    using Value = decltype(zero);
    using T = Compute<Value>;
    const Tensor maps = torch::stable::contiguous(features);
    const Tensor boxes = as(rois, kCompute<Value>);
    forward_kernel<Value, Points>
        <<<blocks_for(output.numel()), kThreads, 0, current_stream(features)>>>(
            static_cast<const Value*>(maps.data_ptr()), static_cast<const T*>(boxes.data_ptr()),
            static_cast<T>(scale), n, static_cast<Value*>(output.data_ptr()));
    STD_CUDA_KERNEL_LAUNCH_CHECK();
  });
  return output;
}

template <template <typename> class Points>
Tensor backward(
    const Tensor& grad, const Tensor& rois, std::vector<int64_t> size, int64_t output_size,
    double scale) {
  STD_TORCH_CHECK(size.size() == 4, "size must be [B, C, H, W]");
  const Sizes n = sizes_of(rois, size[0], size[1], size[2], size[3], output_size);
  const torch::stable::accelerator::DeviceGuard guard(grad.get_device_index());
  Tensor result = grad;
  dispatch(grad.scalar_type(), [&](auto zero) {
    using Value = decltype(zero);
    using T = Compute<Value>;
    const Tensor gradients = torch::stable::contiguous(grad);
    const Tensor boxes = as(rois, kCompute<Value>);
    const Tensor sums = torch::stable::new_zeros(grad, size, kCompute<Value>);
    const int64_t items = n.boxes * n.channels * n.points();
    if (items > 0) {
      backward_kernel<Value, Points><<<blocks_for(items), kThreads, 0, current_stream(grad)>>>(
          static_cast<const Value*>(gradients.data_ptr()), static_cast<const T*>(boxes.data_ptr()),
          static_cast<T>(scale), n, static_cast<T*>(sums.data_ptr()));
      STD_CUDA_KERNEL_LAUNCH_CHECK();
    }
    result = torch::stable::to(sums, grad.scalar_type());
  });
  return result;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(s2cnet, CUDA, m) {
  m.impl("roi_align", TORCH_BOX(&forward<RoiPoints>));
  m.impl("rod_align", TORCH_BOX(&forward<RodPoints>));
  m.impl("roi_align_backward", TORCH_BOX(&backward<RoiPoints>));
  m.impl("rod_align_backward", TORCH_BOX(&backward<RodPoints>));
}

}  // namespace s2cnet
