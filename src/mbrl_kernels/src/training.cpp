// Trains one member of an ensemble: forward, loss, backward, Adam, for some updates in a row.
//
// Members share nothing, so several may be trained at once, each by one thread; what becomes of a
// member does not depend on that.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "losses.h"
#include "network.h"
#include "product.h"
#include "subnormals.h"

namespace mbrl {
namespace {

constexpr double kBeta1 = 0.9, kBeta2 = 0.999;  // Kingma & Ba, "Adam", ICLR 2015
constexpr float kEpsilon = 1e-8f;

// One batch: inputs [size, widths[0]], targets [size, targets], ends [size].
struct Batch {
  std::vector<float> inputs, targets, ends;
  int size = 0;
};

// What lies between the layers on the way forward and back, and the gradient.
struct Workspace {
  std::vector<std::vector<float>> values;  // of each hidden layer, [batch, units]
  std::vector<std::vector<float>> slopes;
  std::vector<float> output, flow, next_flow, turned, gradient;
  Batch batch;
};

// The loss on a batch, and its gradient.
float compute_gradient(const MbrlNetwork &network, const Member &weights, const Batch &batch,
                       const Member &gradient, Workspace &work) {
  const int layers = network.layers, rows = batch.size;
  const int32_t *widths = network.widths;
  const auto activation = static_cast<Activation>(network.activation);
  work.values.resize(layers - 1);
  work.slopes.resize(layers - 1);

  const float *inputs = batch.inputs.data();
  for (int i = 0; i < layers; i++) {
    const int64_t count = int64_t{rows} * widths[i + 1];
    std::vector<float> &result = i + 1 < layers ? work.slopes[i] : work.output;
    result.resize(count);
    product(rows, widths[i + 1], widths[i], {inputs, widths[i], 1}, weights.weight(i),
            weights.bias(i), result.data());
    if (i + 1 < layers) {
      work.values[i].resize(count);
      activate(activation, count, result.data(), work.values[i].data());
      inputs = work.values[i].data();
    }
  }

  const int width = widths[layers], targets = network.targets;
  const float *output = work.output.data();
  work.flow.resize(int64_t{rows} * width);
  float loss;
  if (network.probabilistic) {
    std::fill_n(gradient.low(), targets, -network.bound_penalty);
    std::fill_n(gradient.high(), targets, network.bound_penalty);
    loss = gaussian(rows, targets, batch.targets.data(), output, width, weights.low(),
                    weights.high(), work.flow.data(), gradient.low(), gradient.high());
  } else {
    loss = squared(rows, targets, batch.targets.data(), output, width, work.flow.data());
  }
  if (network.learns_end) {
    const int last = width - 1;
    loss += cross_entropy(rows, batch.ends.data(), output + last, width, work.flow.data() + last);
  }

  for (int i = layers - 1; i >= 0; i--) {
    const float *before = i > 0 ? work.values[i - 1].data() : batch.inputs.data();
    const float *flow = work.flow.data();
    const int in = widths[i], out = widths[i + 1];
    product(in, out, rows, {before, 1, in}, flow, nullptr, gradient.weight(i));
    float *bias = gradient.bias(i);
    std::fill_n(bias, out, 0.0f);
    for (int row = 0; row < rows; row++) {
      const float *from = flow + int64_t{row} * out;
      for (int column = 0; column < out; column++) bias[column] += from[column];
    }
    if (i > 0) {
      work.turned.resize(int64_t{in} * out);
      transpose(in, out, weights.weight(i), work.turned.data());
      work.next_flow.resize(int64_t{rows} * in);
      product(rows, in, out, {flow, out, 1}, work.turned.data(), nullptr, work.next_flow.data());
      const float *slope = work.slopes[i - 1].data();
      for (int64_t k = 0; k < int64_t{rows} * in; k++) work.next_flow[k] *= slope[k];
      std::swap(work.flow, work.next_flow);
    }
  }
  return loss;
}

// One step on `count` weights with an L2 penalty of decay / 2 * |weight|^2.
void adam(int64_t count, float decay, double rate, int64_t step, const float *gradient,
          float *weights, float *mean, float *square) {
  const float b1 = static_cast<float>(kBeta1), b2 = static_cast<float>(kBeta2);
  const float size = static_cast<float>(rate / (1.0 - std::pow(kBeta1, step)));
  const float unbias = static_cast<float>(1.0 / std::sqrt(1.0 - std::pow(kBeta2, step)));
  for (int64_t i = 0; i < count; i++) {
    const float g = gradient[i] + decay * weights[i];
    mean[i] = b1 * mean[i] + (1.0f - b1) * g;
    square[i] = b2 * square[i] + (1.0f - b2) * g * g;
    weights[i] -= size * mean[i] / (std::sqrt(square[i]) * unbias + kEpsilon);
  }
}

void gather(const float *from, int width, const int64_t *indices, int count,
            std::vector<float> &to) {
  to.resize(int64_t{count} * width);
  for (int i = 0; i < count; i++) {
    std::copy_n(from + indices[i] * width, width, to.data() + int64_t{i} * width);
  }
}

}  // namespace
}  // namespace mbrl

#define MBRL_EXPORT __attribute__((visibility("default")))

extern "C" {

// Adam's state, of all members: each as the weights. `decay` is one number per layer.
struct MbrlOptimiser {
  float *weights, *mean, *square;
  const float *decay;
};

// All transitions there are: inputs [N, widths[0]], targets [N, targets], ends [N] or null.
struct MbrlData {
  const float *inputs, *targets, *ends;
};

// What the functions and structures here look like; the caller must know the same.
MBRL_EXPORT int32_t mbrl_interface() { return 1; }

// Trains a member for some updates.
//
//   indices   [updates, batch]: the rows of the data that each update takes
//   rates     [updates]: step sizes
//   done      how many updates the member has had
//   losses    [updates]: filled with the loss of each batch before its update
MBRL_EXPORT void mbrl_train(const MbrlNetwork *network, const MbrlOptimiser *optimiser,
                            const MbrlData *data, int32_t member, int32_t batch, int32_t updates,
                            const int64_t *indices, const double *rates, int64_t done,
                            float *losses) {
  using namespace mbrl;
  const WithoutSubnormals here;
  thread_local Workspace work;
  const Member weights(*network, optimiser->weights, network->members, member);
  const Member mean(*network, optimiser->mean, network->members, member);
  const Member square(*network, optimiser->square, network->members, member);
  int64_t size = 0;
  for (int i = 0; i < weights.tensors(); i++) size += weights.size(i);
  work.gradient.resize(size);
  const Member gradient(*network, work.gradient.data(), 1, 0);
  for (int u = 0; u < updates; u++) {
    const int64_t *rows = indices + int64_t{u} * batch;
    work.batch.size = batch;
    gather(data->inputs, network->widths[0], rows, batch, work.batch.inputs);
    gather(data->targets, network->targets, rows, batch, work.batch.targets);
    if (data->ends) gather(data->ends, 1, rows, batch, work.batch.ends);
    losses[u] = compute_gradient(*network, weights, work.batch, gradient, work);
    for (int i = 0; i < weights.tensors(); i++) {
      const bool decays = i < 2 * network->layers && i % 2 == 0;  // neither biases nor bounds
      adam(weights.size(i), decays ? optimiser->decay[i / 2] : 0.0f, rates[u], done + u + 1,
           gradient.at(i), weights.at(i), mean.at(i), square.at(i));
    }
  }
}

// The loss of one member on one batch, and its gradient; both flat ones are of all members.
MBRL_EXPORT float mbrl_gradient(const MbrlNetwork *network, float *weights, int32_t member,
                                int32_t batch, const float *inputs, const float *targets,
                                const float *ends, float *gradient) {
  using namespace mbrl;
  Workspace work;
  work.batch.size = batch;
  work.batch.inputs.assign(inputs, inputs + int64_t{batch} * network->widths[0]);
  work.batch.targets.assign(targets, targets + int64_t{batch} * network->targets);
  if (ends) work.batch.ends.assign(ends, ends + batch);
  const Member of_weights(*network, weights, network->members, member);
  const Member of_gradient(*network, gradient, network->members, member);
  return compute_gradient(*network, of_weights, work.batch, of_gradient, work);
}

}  // extern "C"
