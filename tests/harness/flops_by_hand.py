"""A training step's floating-point operations from the sizes of its layers: a multiplication and an addition are two.

Counted are matrix products, forward and backward; norms, softmax, gates and rotary positions are left out, as in the
counter. A product costs once again for the gradient of its weight, where that trains, and for that of its input, where
something before it trains.
"""

from dataclasses import dataclass

EMBED_DIM = 128
"""Width of the retrieval space."""


@dataclass
class Sizes:
    """A batch and the shared parts."""

    rows: int
    text: int
    """Padded text tokens of a row."""
    supervised: int
    """Predicted tokens of the batch."""
    patches: int
    """Tokens of an image."""
    patch_pixels: int
    """Numbers in a patch."""
    encoder_dim: int
    encoder_depth: int
    width: int
    depth: int
    num_heads: int
    num_kv_heads: int
    feed_forward: int
    vocabulary: int
    group: int
    """Rows told apart from one another."""


@dataclass
class Training:
    """Which of the shared parts train; what a family adds does."""

    encoder: bool
    language_model: bool


def unified(sizes: Sizes, trains: Training) -> float:
    """Image tokens through the connector into the context."""
    encoder = image_encoder(sizes, trains, sizes.patches)
    connector = mlp_connector(sizes, trains, sizes.patches)
    return encoder + connector + decoder(sizes, trains, 1 + sizes.patches) + objectives(sizes, trains)


def crossattn(sizes: Sizes, trains: Training, every: int) -> float:
    """Text alone in the context; a gated layer before every so many blocks."""
    gated = len(range(0, sizes.depth, every)) * gated_layer(sizes, trains, 1 + sizes.text)
    return image_encoder(sizes, trains, sizes.patches) + gated + decoder(sizes, trains, 1) + objectives(sizes, trains)


def hybrid(sizes: Sizes, trains: Training, every: int, factor: int) -> float:
    """A thumbnail's tokens in the context, the image's through gated layers; the encoder looks at both."""
    thumbnail = sizes.patches // factor**2
    encoder = image_encoder(sizes, trains, sizes.patches) + image_encoder(sizes, trains, thumbnail)
    gated = len(range(0, sizes.depth, every)) * gated_layer(sizes, trains, 1 + thumbnail + sizes.text)
    context = mlp_connector(sizes, trains, thumbnail) + decoder(sizes, trains, 1 + thumbnail)
    return encoder + gated + context + objectives(sizes, trains)


def image_encoder(sizes: Sizes, trains: Training, tokens: int) -> float:
    """A Vision Transformer over ``tokens`` patches of each image; pixels need no gradient."""
    dim, learns = sizes.encoder_dim, trains.encoder
    patches = linear(tokens, sizes.patch_pixels, dim, weight=learns, before=False)
    projections = linear(tokens, dim, 3 * dim, learns, learns) + linear(tokens, dim, dim, learns, learns)
    feed_forward = linear(tokens, dim, 4 * dim, learns, learns) + linear(tokens, 4 * dim, dim, learns, learns)
    block = projections + feed_forward + attention(tokens, tokens, dim, learns)
    return sizes.rows * (patches + sizes.encoder_depth * block)


def mlp_connector(sizes: Sizes, trains: Training, tokens: int) -> float:
    """Two layers, as wide inside as the decoder."""
    first = linear(tokens, sizes.encoder_dim, sizes.width, weight=True, before=trains.encoder)
    return sizes.rows * (first + linear(tokens, sizes.width, sizes.width, weight=True, before=True))


def gated_layer(sizes: Sizes, trains: Training, tokens: int) -> float:
    """Queries of all ``tokens`` of the context, keys and values of the image's, and a feed-forward."""
    width, head = sizes.width, sizes.width // sizes.num_heads
    keys_values = linear(sizes.patches, sizes.encoder_dim, 2 * sizes.num_kv_heads * head, True, trains.encoder)
    projections = 2 * linear(tokens, width, width, True, True)
    seen = attention(tokens, sizes.patches, width, True)
    return sizes.rows * (keys_values + projections + seen + swiglu(tokens, width, sizes.feed_forward, True))


def decoder(sizes: Sizes, trains: Training, prefix: int) -> float:
    """All blocks over prefix and text; gradients pass through to the learned queries even where it is frozen.

    After the last block's keys and values, nothing but the text goes on where image tokens stand before it.
    """
    tokens = prefix + sizes.text
    last_block = block(sizes, trains, sizes.text if prefix > 1 else tokens, tokens)
    return sizes.rows * ((sizes.depth - 1) * block(sizes, trains, tokens, tokens) + last_block)


def block(sizes: Sizes, trains: Training, wanted: int, tokens: int) -> float:
    """One block of the decoder over ``tokens``, of which the ``wanted`` ones attend and go on."""
    width, learns = sizes.width, trains.language_model
    head = width // sizes.num_heads
    query_key_value = linear(tokens, width, (sizes.num_heads + 2 * sizes.num_kv_heads) * head, learns, True)
    output = linear(wanted, width, width, learns, True)
    # The mask hides what may not be seen, but the products are made for all pairs.
    seen = attention(wanted, tokens, width, True)
    return query_key_value + output + seen + swiglu(wanted, width, sizes.feed_forward, learns)


def objectives(sizes: Sizes, trains: Training) -> float:
    """The vocabulary where a token is predicted, and the retrieval heads with their similarities."""
    vocabulary = linear(sizes.supervised, sizes.width, sizes.vocabulary, trains.language_model, True)
    heads = 2 * linear(sizes.rows, sizes.width, EMBED_DIM, True, True)
    similarities = 3 * 2 * sizes.rows * sizes.group * EMBED_DIM
    return vocabulary + heads + similarities


def swiglu(tokens: int, width: int, inner: int, learns: bool) -> float:
    """Gate, up and down."""
    return linear(tokens, width, 2 * inner, learns, True) + linear(tokens, inner, width, learns, True)


def attention(queries: int, keys: int, width: int, backward: bool) -> float:
    """Scores and sums over all heads; each of the two products has two factors that need a gradient."""
    return 4 * queries * keys * width * (3 if backward else 1)


def linear(tokens: int, in_dim: int, out_dim: int, weight: bool, before: bool) -> float:
    """A projection; ``weight``: it trains; ``before``: something before it trains."""
    return 2 * tokens * in_dim * out_dim * (1 + weight + before)
