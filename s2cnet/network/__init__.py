"""Define S2CNet, written to be read alongside the paper, and trainable.

Su, Cao, Deng, Rao and Wu: "Spatial-Semantic Collaborative Cropping for User Generated Content",
AAAI 2024, https://arxiv.org/abs/2401.08086. The paper's Figure 2 shows the whole: a backbone, one
node for the crop candidate and one for each object, and the adaptive attention graph over them.

One graph scores one candidate. Node i has the box b_i and the box's centre c_i (x, y), as shares of
the input's sides; node 0 is the candidate. C is the width of a node, R that of a relation. Θ and φ
are learned linear maps, x are the nodes after some layers. The code refers to these numbers, which
are ours, not the paper's:

    (1)  F = W [ down(F_8), F_16, up(F_32) / 2 ]               backbone, one map of stride 16
    (2)  h_i = ReLU(LN(W [ RoIAlign(F, b_i), RoDAlign(F, b_i) ]))                      nodes
    (3)  P_ij = ‖Θ_p c_i - φ_p c_j‖ / √R, then one linear map for each head   spatial relation
    (4)  S_ij = Θ_s h_i · φ_s h_j / √R, then one linear map for each head    semantic relation
    (5)  G = softmax_j(mean_heads(P) ⊙ mean_heads(S))                           the adjacency
    (6)  m = ReLU(LN(W_g G x))                               graph aggregation, in each layer
    (7)  x ← x + W_o softmax(W_q m · W_k LN(x) / √C + P + S) W_v LN(x)  graph-aware attention
    (8)  x ← x + W GELU(W LN(x))                                                 feed-forward
    (9)  score = head(x)

    backbone    (1), on the stages of a known network
    mobilenet   that network, MobileNetV2
    nodes       (2): which boxes become nodes, what is sampled for them, their embedding
    graph       (3) to (8)
    heads       (9)
    s2cnet      the network, from images to scores
    arguments   checks of its arguments
    gaic        the baseline without a graph
"""
