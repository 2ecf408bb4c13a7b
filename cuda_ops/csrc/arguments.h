// Checks and conversions of the operators' arguments, shared by the CPU and CUDA entry points.
#pragma once

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>
#include <torch/headeronly/util/BFloat16.h>
#include <torch/headeronly/util/Half.h>

#include <type_traits>
#include <vector>

#include "sampling.h"

namespace s2cnet {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

// The type in which values of a type are computed.
template <typename Value>
using Compute = std::conditional_t<std::is_same_v<Value, double>, double, float>;

template <typename Value>
constexpr ScalarType kCompute =
    std::is_same_v<Value, double> ? ScalarType::Double : ScalarType::Float;

inline Sizes sizes_of(
    const Tensor& rois, int64_t batch, int64_t channels, int64_t height, int64_t width,
    int64_t size) {
  STD_TORCH_CHECK(rois.dim() == 2 && rois.size(1) == 5, "rois must be [K, 5]");
  STD_TORCH_CHECK(height >= 2 && width >= 2, "features must be at least 2 x 2 cells");
  STD_TORCH_CHECK(size >= 1, "output_size must be at least 1");
  return {rois.size(0), batch, channels, height, width, size};
}

// A contiguous tensor of the given type.
inline Tensor as(const Tensor& tensor, ScalarType type) {
  return torch::stable::contiguous(torch::stable::to(tensor, type));
}

// Calls function with a zero of the C++ type for values of `type`.
template <typename Function>
void dispatch(ScalarType type, const Function& function) {
  switch (type) {
    case ScalarType::Double:
      return function(double{});
    case ScalarType::Float:
      return function(float{});
    case ScalarType::Half:
      return function(torch::headeronly::Half{});
    case ScalarType::BFloat16:
      return function(torch::headeronly::BFloat16{});
    default:
      STD_TORCH_CHECK(false, "features must be float64, float32, float16 or bfloat16");
  }
}

}  // namespace s2cnet
