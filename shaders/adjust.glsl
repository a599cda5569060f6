// Penalties and biases of the sampler: v[t] of sample.comp, which includes this behind its bindings.
#ifndef SX_ADJUST_GLSL
#define SX_ADJUST_GLSL

// The row's ancestors and the biased tokens, looked up where a token's bit is set in a filter of 2,048 bits.
#define FILTER_WORDS 64
#define MAX_SPECIAL (SX_MAX_PATH + SX_MAX_BIAS)
shared uint filter_bits[FILTER_WORDS];
shared uint special_token[MAX_SPECIAL], special_count[MAX_SPECIAL], ancestor_count;
shared float special_bias[MAX_SPECIAL];

uint bias_count;
bool adjusting, counting;
float repetition, presence, frequency;

void read_adjustments()
{
    repetition = settings.repetition_penalty;
    presence = settings.presence_penalty;
    frequency = settings.frequency_penalty;
    bias_count = min(settings.bias_count, uint(SX_MAX_BIAS));
    counting = repetition != 1.0 || presence != 0.0 || frequency != 0.0;
    adjusting = counting || bias_count != 0u;
}

void add_special(uint place, uint token, uint count, float bias)
{
    special_token[place] = token;
    special_count[place] = count;
    special_bias[place] = bias;
    atomicOr(filter_bits[(token / 32u) % FILTER_WORDS], 1u << (token % 32u));
}

// Ancestors, each once for each time it stands there, then the biases.
void list_special(uint lane, uint row)
{
    for (uint word = lane; word < FILTER_WORDS; word += LANES) {
        filter_bits[word] = 0u;
    }
    barrier();
    if (lane == 0u) {
        uint count = 0u;
        uint node = counting ? row : SX_NONE;
        for (uint depth = 0u; depth < SX_MAX_PATH && node < SX_MAX_ROWS; ++depth) {
            if (node != 0u || batch.root_is_prompt == 0u) {
                add_special(count, batch.token[node], 1u, 0.0);
                count += 1u;
            }
            node = batch.parent[node];
        }
        ancestor_count = count;
    }
    barrier();
    for (uint i = lane; i < bias_count; i += LANES) {
        add_special(ancestor_count + i, settings.bias_token[i], 0u, settings.bias_value[i]);
    }
    barrier();
}

float adjusted(uint token, float x)
{
    float value = x;
    if (adjusting) {
        uint count = 0u;
        if (counting) count = counts[token];
        float bias = 0.0;
        if ((filter_bits[(token / 32u) % FILTER_WORDS] & (1u << (token % 32u))) != 0u) {
            for (uint i = 0u; i < ancestor_count + bias_count; ++i) {
                if (special_token[i] == token) {
                    count += special_count[i];
                    bias += special_bias[i];
                }
            }
        }
        if (count != 0u) {
            value = value > 0.0 ? value / repetition : value * repetition;
            value -= presence + frequency * float(count);
        }
        value = sane(value + bias);
    }
    return value;
}

#endif
