// omma.hpp: the blocks of a transformer.
#ifndef OMMA_HPP_TRANSFORMER
#define OMMA_HPP_TRANSFORMER

#include "core.hpp"

namespace omma {
inline namespace OMMA_HPP_WAY {

// output (length, dim): sines in the even columns, cosines in the odd ones.
inline Outcome positional_encoding(const Context& c, const TensorRef& output) {
    return check(omma_positional_encoding(c.get(), output));
}

// What multi-head attention is beyond its arrays.
class MultiHeadAttentionOptions {
public:
    explicit MultiHeadAttentionOptions(int32_t num_heads, int32_t num_kv_heads = 0) {
        params_.num_heads = num_heads;
        params_.num_kv_heads = num_kv_heads;
    }
    MultiHeadAttentionOptions& causal(int64_t offset = 0) {
        params_.flags |= OMMA_ATTENTION_CAUSAL;
        params_.causal_offset = offset;
        return *this;
    }
    MultiHeadAttentionOptions& scale(float scale) {
        params_.flags |= OMMA_ATTENTION_SCALE;
        params_.scale = scale;
        return *this;
    }
    MultiHeadAttentionOptions& softcap(float cap) {
        params_.softcap = cap;
        return *this;
    }
    const OmmaMultiHeadAttentionParams* get() const { return &params_; }

private:
    OmmaMultiHeadAttentionParams params_ = params<OmmaMultiHeadAttentionParams>();
};

// A weight (out, in) and a bias (out), which may be absent.
struct Affine {
    Tensor<const float> weight, bias = {};
};

// The projections: q (H D, Eq), k (G D, Ek), v (G V, Ev), o (Eo, H V).
struct MultiHeadWeights {
    Affine q, k, v, o;
};

// query (B, N, Eq), key (B, M, Ek), value (B, M, Ev), output (B, N, Eo); the mask, which may be absent, as for attention.
inline Outcome multi_head_attention(const Context& c, const MultiHeadAttentionOptions& options, const TensorRef& query,
                                    const TensorRef& key, const TensorRef& value, const MultiHeadWeights& w,
                                    const TensorRef& mask, const TensorRef& output) {
    return check(omma_multi_head_attention(c.get(), options.get(), query, key, value, TensorRef(w.q.weight),
                                           TensorRef(w.q.bias), TensorRef(w.k.weight), TensorRef(w.k.bias),
                                           TensorRef(w.v.weight), TensorRef(w.v.bias), TensorRef(w.o.weight),
                                           TensorRef(w.o.bias), mask, output));
}

// Multi-head attention with its weights packed once; immutable, may be run by several threads.
class MultiHeadAttention {
public:
    MultiHeadAttention() = default;
#ifndef OMMA_NO_EXCEPTIONS
    MultiHeadAttention(const Context& context, const MultiHeadAttentionOptions& options, const MultiHeadWeights& w) {
        check(create(context, options, w, *this).code());
    }
#endif
    static Status create(const Context& context, const MultiHeadAttentionOptions& options, const MultiHeadWeights& w,
                         MultiHeadAttention& plan) {
        OmmaMultiHeadAttention* handle = nullptr;
        const OmmaStatus status = omma_multi_head_attention_create(
            context.get(), options.get(), TensorRef(w.q.weight), TensorRef(w.q.bias), TensorRef(w.k.weight),
            TensorRef(w.k.bias), TensorRef(w.v.weight), TensorRef(w.v.bias), TensorRef(w.o.weight), TensorRef(w.o.bias),
            &handle);
        plan.handle_.reset(handle);
        return Status(status);
    }
    // mask and residual may be absent; output may be the residual.
    Outcome run(const Context& context, const TensorRef& query, const TensorRef& key, const TensorRef& value,
                const TensorRef& mask, const TensorRef& residual, const TensorRef& output) const {
        return check(omma_multi_head_attention_run(context.get(), handle_.get(), query, key, value, mask, residual, output));
    }
    // The algorithm and the instruction set.
    std::string describe() const { return detail::describe(omma_multi_head_attention_describe, handle_.get()); }

private:
    detail::Owner<OmmaMultiHeadAttention, omma_multi_head_attention_destroy> handle_;
};

// output = activation(input w1^T + b1) w2^T + b2 + residual with packed weights.
class FeedForward {
public:
    FeedForward() = default;
#ifndef OMMA_NO_EXCEPTIONS
    FeedForward(const Context& context, const Affine& first, const Affine& second,
                int32_t activation = OMMA_ACTIVATION_RELU, float negative_slope = 0) {
        check(create(context, first, second, activation, *this, negative_slope).code());
    }
#endif
    static Status create(const Context& context, const Affine& first, const Affine& second, int32_t activation,
                         FeedForward& plan, float negative_slope = 0) {
        const OmmaFeedForwardParams p = {sizeof(OmmaFeedForwardParams), activation, negative_slope, 0};
        OmmaFeedForward* handle = nullptr;
        const OmmaStatus status = omma_feed_forward_create(
            context.get(), &p, TensorRef(first.weight), TensorRef(first.bias), TensorRef(second.weight),
            TensorRef(second.bias), &handle);
        plan.handle_.reset(handle);
        return Status(status);
    }
    // The residual may be absent, and output may be it.
    Outcome run(const Context& context, const TensorRef& input, const TensorRef& residual,
                const TensorRef& output) const {
        return check(omma_feed_forward_run(context.get(), handle_.get(), input, residual, output));
    }
    // The algorithm and the instruction set.
    std::string describe() const { return detail::describe(omma_feed_forward_describe, handle_.get()); }

private:
    detail::Owner<OmmaFeedForward, omma_feed_forward_destroy> handle_;
};

// What an encoder layer is beyond its arrays; the defaults are torch's.
class TransformerEncoderLayerOptions {
public:
    explicit TransformerEncoderLayerOptions(int32_t num_heads) { params_.num_heads = num_heads; }
    TransformerEncoderLayerOptions& activation(int32_t kind, float negative_slope = 0) {
        params_.activation = kind;
        params_.negative_slope = negative_slope;
        return *this;
    }
    TransformerEncoderLayerOptions& norm_first() {
        params_.flags |= OMMA_ENCODER_LAYER_NORM_FIRST;
        return *this;
    }
    TransformerEncoderLayerOptions& causal() {
        params_.flags |= OMMA_ENCODER_LAYER_CAUSAL;
        return *this;
    }
    TransformerEncoderLayerOptions& eps(float eps) {
        params_.flags |= OMMA_ENCODER_LAYER_EPS;
        params_.eps = eps;
        return *this;
    }
    const OmmaTransformerEncoderLayerParams* get() const { return &params_; }

private:
    OmmaTransformerEncoderLayerParams params_ = params<OmmaTransformerEncoderLayerParams>();
};

// The arrays of torch's TransformerEncoderLayer, by its names; norms have weight and bias of shape (E).
struct TransformerEncoderLayerWeights {
    Affine in_proj, out_proj, linear1, linear2, norm1, norm2;
};

// A layer of an encoder with its weights packed once; immutable, may be run by several threads.
class TransformerEncoderLayer {
public:
    TransformerEncoderLayer() = default;
#ifndef OMMA_NO_EXCEPTIONS
    TransformerEncoderLayer(const Context& context, const TransformerEncoderLayerOptions& options,
                            const TransformerEncoderLayerWeights& w) {
        check(create(context, options, w, *this).code());
    }
#endif
    static Status create(const Context& context, const TransformerEncoderLayerOptions& options,
                         const TransformerEncoderLayerWeights& w, TransformerEncoderLayer& plan) {
        OmmaTransformerEncoderLayer* handle = nullptr;
        const OmmaStatus status = omma_transformer_encoder_layer_create(
            context.get(), options.get(), TensorRef(w.in_proj.weight), TensorRef(w.in_proj.bias),
            TensorRef(w.out_proj.weight), TensorRef(w.out_proj.bias), TensorRef(w.linear1.weight),
            TensorRef(w.linear1.bias), TensorRef(w.linear2.weight), TensorRef(w.linear2.bias),
            TensorRef(w.norm1.weight), TensorRef(w.norm1.bias), TensorRef(w.norm2.weight), TensorRef(w.norm2.bias),
            &handle);
        plan.handle_.reset(handle);
        return Status(status);
    }
    // input and output (B, N, E), which may be one array; the mask, which may be absent, as for attention.
    Outcome run(const Context& context, const TensorRef& input, const TensorRef& mask, const TensorRef& output) const {
        return check(omma_transformer_encoder_layer_run(context.get(), handle_.get(), input, mask, output));
    }
    // The algorithm and the instruction set.
    std::string describe() const { return detail::describe(omma_transformer_encoder_layer_describe, handle_.get()); }

private:
    detail::Owner<OmmaTransformerEncoderLayer, omma_transformer_encoder_layer_destroy> handle_;
};

// Images as rows of features: weight (E, C, PH, PW); bias (E), class_token (E) and position_embedding (rows, E) may
// be absent.
class PatchEmbedding {
public:
    PatchEmbedding() = default;
#ifndef OMMA_NO_EXCEPTIONS
    PatchEmbedding(const Context& context, const TensorRef& weight, const TensorRef& bias = {},
                   const TensorRef& class_token = {}, const TensorRef& position_embedding = {}) {
        check(create(context, weight, bias, class_token, position_embedding, *this).code());
    }
#endif
    static Status create(const Context& context, const TensorRef& weight, const TensorRef& bias,
                         const TensorRef& class_token, const TensorRef& position_embedding, PatchEmbedding& plan) {
        OmmaPatchEmbedding* handle = nullptr;
        const OmmaStatus status =
            omma_patch_embedding_create(context.get(), weight, bias, class_token, position_embedding, &handle);
        plan.handle_.reset(handle);
        return Status(status);
    }
    // input (B, C, H, W), output (B, rows, E).
    Outcome run(const Context& context, const TensorRef& input, const TensorRef& output) const {
        return check(omma_patch_embedding_run(context.get(), handle_.get(), input, output));
    }
    // The algorithm and the instruction set.
    std::string describe() const { return detail::describe(omma_patch_embedding_describe, handle_.get()); }

private:
    detail::Owner<OmmaPatchEmbedding, omma_patch_embedding_destroy> handle_;
};

}  // namespace OMMA_HPP_WAY
}  // namespace omma

#endif  // OMMA_HPP_TRANSFORMER
