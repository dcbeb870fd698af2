// What the networks of an ensemble look like, and where their weights lie.
#pragma once

#include <cstdint>

#include "activations.h"

extern "C" {

// Shapes and meaning of an ensemble's networks: mbrl_dynamics.ensemble.Architecture. The outputs
// are the mean of each target, its log-variance (if probabilistic), and the logit of the episode's
// end (if learned).
struct MbrlNetwork {
  int32_t members;
  int32_t layers;
  const int32_t *widths;  // inputs, units of each hidden layer, outputs: layers + 1 numbers
  int32_t targets;
  int32_t probabilistic;
  int32_t learns_end;
  int32_t activation;   // a mbrl::Activation
  float bound_penalty;  // pulls the learned bounds of the log-variance together
};

}  // extern "C"

namespace mbrl {

// The numbers of one member among those of all, in the order of mbrl_dynamics.ensemble.Weights: for
// each layer the weights of all members [fan in, fan out], then their biases; then, if
// probabilistic, the lower and the upper bounds of their log-variances.
class Member {
 public:
  Member(const MbrlNetwork &network, float *flat, int members, int member)
      : network_(network), flat_(flat), members_(members), member_(member) {}

  float *weight(int layer) const { return at(2 * layer); }
  float *bias(int layer) const { return at(2 * layer + 1); }
  float *low() const { return at(2 * network_.layers); }
  float *high() const { return at(2 * network_.layers + 1); }

  // How many tensors there are, and the size of one of them.
  int tensors() const { return 2 * network_.layers + (network_.probabilistic ? 2 : 0); }
  int64_t size(int tensor) const {
    if (tensor >= 2 * network_.layers) return network_.targets;
    const int32_t *widths = network_.widths + tensor / 2;
    return tensor % 2 ? widths[1] : int64_t{widths[0]} * widths[1];
  }
  float *at(int tensor) const {
    int64_t before = 0;
    for (int i = 0; i < tensor; i++) before += size(i);
    return flat_ + before * members_ + size(tensor) * member_;
  }

 private:
  const MbrlNetwork &network_;
  float *flat_;
  int members_, member_;
};

}  // namespace mbrl
