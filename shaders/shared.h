// Structures that both sides know: compiled as C and as GLSL. Every member is a 32-bit word, so that the std430 layout
// and C's are the same; sizes are checked in runtime/graph/ops.h.
#ifndef SX_SHARED_H
#define SX_SHARED_H

#ifdef __STDC_VERSION__
#include <stdint.h>
#define SX_U32 uint32_t
#define SX_F32 float
#define SX_STRUCT(name) struct name
#define SX_LENGTH length
#else
#define SX_U32 uint
#define SX_F32 float
#define SX_STRUCT(name) name
#define SX_LENGTH token_count // glslang takes any `.length` for the method of arrays
#endif

#define SX_MAX_ROWS 32         // rows of a verify pass, and of a batch
#define SX_MAX_EXPERTS_USED 32 // experts a row goes through
#define SX_MAX_PATH 16         // rows from the root to the deepest node, the root included
#define SX_MAX_BRANCH 10       // K: children of a node, and width of the beam
#define SX_MAX_MARKER 8        // tokens of a think marker
#define SX_MAX_FORCED 64       // tokens an exit forces: message and close marker
#define SX_MAX_BIAS 64         // logit biases
#define SX_MAX_PERIOD 256      // longest repetition the loop guard sees, in tokens
#define SX_SIGNAL_WINDOW 10    // scores the momentum, mean and paragraph_mean smoothings remember
#define SX_SIGNALS 3           // confidence, progress, remain
#define SX_PACKED_WORDS 12     // of a block of 32 activations in bytes (packed.glsl)
#define SX_MAX_CANDIDATES 1520 // K + (SX_MAX_PATH - 2) * K * K, rounded up to a multiple of 16
#define SX_DIRECT 0xFFFFFFFFu  // as a batch's base: every position p stands in slot first_slot[row] + p
#define SX_NONE 0xFFFFFFFFu    // no row, no token, no position

// ---- The rows of one forward pass ----------------------------------------------------------------------------------
// Position p of row r stands in KV slot first_slot[r] + p where p < base, else in slot ancestor[r * SX_MAX_PATH + p -
// base]. Row r's own position is the last it attends to. Rows of sequences of their own differ in first_slot; rows of one
// sequence, as those of a tree, have the same. Rows at or beyond `count` hold harmless values (token 0, position 0, a slot
// of their own that nobody reads), so that kernels need no mask.
struct SxBatch {
    SX_U32 count; // valid rows
    SX_U32 base;  // committed length, or SX_DIRECT
    SX_U32 root_is_prompt; // verify batches: row 0 is not generated text (penalties skip it)
    SX_U32 reserved1;
    SX_U32 token[SX_MAX_ROWS];
    SX_U32 position[SX_MAX_ROWS];
    SX_U32 slot[SX_MAX_ROWS];   // where the row's key and value are stored
    SX_U32 parent[SX_MAX_ROWS]; // row of the parent node; SX_NONE for the root
    SX_U32 source[SX_MAX_ROWS]; // draft: the row of the feature buffer this row continues from
    SX_U32 first_slot[SX_MAX_ROWS]; // slot of position 0
    SX_U32 ancestor[SX_MAX_ROWS * SX_MAX_PATH];
};

// One of the experts that a row goes through, in a layer of experts.
struct SxRoute {
    SX_U32 expert;
    SX_F32 weight;
};

// ---- What the host sets for one reply ------------------------------------------------------------------------------
#define SX_POLICY_KIND_NONE 0
#define SX_POLICY_KIND_SIGNALS 1 // all signals of signal_mask beyond their thresholds, at a step boundary
#define SX_POLICY_KIND_MARGIN 2  // log p(close marker) - max log p >= margin_threshold, at a step boundary
#define SX_POLICY_KIND_ENTROPY 3 // entropy after a trial close marker <= entropy_threshold, at a step boundary

#define SX_SMOOTHING_EWMA 0
#define SX_SMOOTHING_MOMENTUM 1
#define SX_SMOOTHING_MEAN 2
#define SX_SMOOTHING_PARAGRAPH_MEAN 3
#define SX_SMOOTHING_RAW 4

#define SX_SIGNAL_CONFIDENCE 1 // bits of signal_mask
#define SX_SIGNAL_PROGRESS 2
#define SX_SIGNAL_REMAIN 4

#define SX_TOKEN_SPLIT 1           // token flags: ends a step (vocabulary.c)
#define SX_TOKEN_SPLIT_REFERENCE 2 // one of the reference's step-split tokens
#define SX_TOKEN_END 4             // ends the reply (end of turn, end of text)
#define SX_TOKEN_BANNED 8          // never sampled (padding, unused)

struct SxSettings {
    // Sampling. temperature 0 is greedy; then the filters do not matter.
    SX_F32 temperature;
    SX_U32 top_k; // 0: off
    SX_F32 top_p; // 1: off
    SX_F32 min_p; // 0: off
    SX_F32 presence_penalty;
    SX_F32 frequency_penalty;
    SX_F32 repetition_penalty; // 1: off
    SX_U32 seed_low;
    SX_U32 seed_high;
    SX_U32 bias_count;
    SX_U32 vocabulary;  // target tokens
    SX_U32 end_position; // no token is sampled for this position or beyond: done, reason length
    // Markers and the rule's bounds.
    SX_U32 open_count;  // 0: thinking never starts by itself
    SX_U32 close_count; // 0: the model does not think
    SX_U32 exit_count;  // tokens an exit forces
    SX_U32 split_mask;  // SX_TOKEN_SPLIT or SX_TOKEN_SPLIT_REFERENCE
    SX_U32 policy;      // SX_POLICY_KIND_*
    SX_U32 signal_mask;
    SX_U32 smoothing;
    SX_U32 reference_mode; // 1: one smoothing step per cycle, decision on the cycles before, as the paper's code
    SX_F32 alpha;          // of ewma, per token (per cycle in reference mode)
    SX_F32 confidence_threshold; // exit when smoothed confidence is above,
    SX_F32 progress_threshold;   // progress above,
    SX_F32 remain_threshold;     // and remain below
    SX_F32 margin_threshold;     // nats, <= 0
    SX_F32 entropy_threshold;    // nats
    SX_U32 minimum_thinking;     // thinking tokens before the policy may exit
    SX_U32 soft_budget;          // exit at the first step boundary with this many thinking tokens; 0: off
    SX_U32 hard_budget;          // exit at this many thinking tokens wherever it is; 0: off
    SX_U32 loop_repeats;         // loop guard: whole repetitions that count as a loop; 0: off
    SX_U32 loop_tokens;          // and at least this many repeated tokens
    // Flags that the host may change while a reply runs.
    SX_U32 answer_now;              // 1: exit at the next token while thinking
    SX_U32 policy_off;              // 1: policy and budgets are suspended (keep thinking); loop guard and answer_now act
    SX_U32 suppress_close_position; // nothing that ends the thinking is sampled for this position: neither the close
                                    // marker's first token nor an end token; SX_NONE: none
    SX_U32 end_closes;              // 1: an end token sampled while thinking is an exit, reason natural: the exit's tokens
                                    // are forced in its place (models that do not know the markers)
    SX_U32 answer_count;            // the last of exit_tokens, which begin the answer: forced in place of an end token
                                    // right behind a close marker that the model wrote itself
    SX_U32 open[SX_MAX_MARKER];
    SX_U32 close[SX_MAX_MARKER];
    SX_U32 exit_tokens[SX_MAX_FORCED];
    SX_U32 bias_token[SX_MAX_BIAS];
    SX_F32 bias_value[SX_MAX_BIAS];
    // Behind the struct, in the same buffer: token flags, four tokens of 8 bits a word, (vocabulary + 3) / 4 words.
};

// ---- What a verify pass says about each row ------------------------------------------------------------------------
struct SxSample {
    SX_U32 token;    // the target's own choice after this row
    SX_F32 logprob;  // its log-probability under softmax(logits), before temperature, filters and penalties
    SX_F32 margin;   // log p(first token of the close marker) - max log p, <= 0; -1e30 where there is no marker
    SX_F32 entropy;  // of softmax(logits), nats
};

// ---- State of one conversation; only accept writes it --------------------------------------------------------------
#define SX_THINKING_BEFORE 0
#define SX_THINKING_INSIDE 1
#define SX_THINKING_AFTER 2

// Why thinking ended.
#define SX_EXIT_NONE 0
#define SX_EXIT_NATURAL 1 // the model closed by itself
#define SX_EXIT_SIGNALS 2
#define SX_EXIT_MARGIN 3
#define SX_EXIT_ENTROPY 4
#define SX_EXIT_LOOP 5
#define SX_EXIT_SOFT_BUDGET 6
#define SX_EXIT_HARD_BUDGET 7
#define SX_EXIT_ANSWER_NOW 8

// Why the reply ended.
#define SX_DONE_NO 0
#define SX_DONE_END 1    // end token
#define SX_DONE_LENGTH 2 // end_position reached
#define SX_DONE_LOOP 3   // the answer repeats itself

// The part that a keep-thinking restores.
struct SxThought {
    SX_U32 SX_LENGTH;       // committed tokens (all with KV)
    SX_U32 root;            // token at position `length`, not in the KV yet
    SX_U32 thinking;        // SX_THINKING_*
    SX_U32 thinking_start;  // position of the first token inside the thinking
    SX_U32 thinking_tokens; // committed inside
    SX_U32 scores;          // smoothing steps made
    SX_F32 smoothed[SX_SIGNALS];
    SX_U32 window_count;    // valid entries of window
    SX_U32 window_next;     // ring position of the next entry
    SX_F32 window[SX_SIGNALS * SX_SIGNAL_WINDOW];
    SX_U32 run[SX_MAX_PERIOD]; // run[p - 1]: tokens on end that equalled the one p before
};

struct SxResult { // read back after every cycle, at most 1,024 bytes
    SX_U32 cycle;          // number of the cycle, from 1
    SX_U32 done;           // SX_DONE_*
    SX_U32 exit_reason;    // SX_EXIT_* when thinking ended in this cycle, else SX_EXIT_NONE
    SX_U32 exit_index;     // index in path of the last token before the exit (natural: before the marker's last token)
    SX_U32 path_count;     // rows committed: the old root, then accepted drafts
    SX_U32 drafted;        // valid rows of the verify batch, the root excluded
    SX_U32 SX_LENGTH;      // committed length after the cycle
    SX_U32 root;           // the bonus token, root of the next cycle
    SX_U32 thinking;       // SX_THINKING_* after the root was looked at
    SX_U32 thinking_tokens;
    SX_U32 wanted;         // at an exit: what the target would have said instead
    SX_U32 forced;         // forced tokens still to be committed, the root included
    SX_U32 root_is_prompt; // path[0] was the last prompt token, not generated text
    SX_U32 reserved[3];
    SX_U32 path[SX_MAX_PATH];                  // committed tokens
    SX_F32 logprob[SX_MAX_PATH];               // of the token that follows path[i]
    SX_F32 margin[SX_MAX_PATH];
    SX_F32 entropy[SX_MAX_PATH];
    SX_F32 raw[SX_MAX_PATH * SX_SIGNALS];      // signals at path[i]
    SX_F32 smoothed[SX_MAX_PATH * SX_SIGNALS]; // after the step at path[i]; zeros outside thinking
};

struct SxState {
    SX_STRUCT(SxThought) now;
    SX_U32 cycle;
    SX_U32 done;          // once set, further cycles change nothing (path_count stays 0)
    SX_U32 root_is_prompt;
    SX_U32 generated;     // tokens sampled or forced in this reply
    SX_U32 forced_count;  // forced tokens not yet committed: exit_tokens[exit_count - forced_count ..]
    SX_U32 exit_reason;   // of this reply so far
    SX_U32 path_count;    // of the last cycle: for kv_move and extend
    SX_U32 path_base;     // committed length before the last cycle
    SX_U32 path_row[SX_MAX_PATH]; // rows of the verify batch
    SX_U32 path_token[SX_MAX_PATH];
    SX_U32 reserved[8];
    SX_STRUCT(SxThought) exit; // as it was at the exit, root = the token the target wanted (engine/policy.h)
    SX_STRUCT(SxResult) result;
};

// ---- The draft's tree while it grows --------------------------------------------------------------------------------
// Candidate c of level 1: c < K. Level l >= 2: K + (l - 2) * K * K + beam row * K + child.
struct SxTree {
    SX_U32 count;  // candidates so far
    SX_U32 level;  // levels drafted so far
    SX_U32 reserved0;
    SX_U32 reserved1;
    SX_U32 beam[SX_MAX_BRANCH]; // candidates whose children the next level drafts
    SX_U32 reserved2[6];
    SX_U32 token[SX_MAX_CANDIDATES];  // target id
    SX_U32 parent[SX_MAX_CANDIDATES]; // candidate, or SX_NONE under the root
    SX_F32 score[SX_MAX_CANDIDATES];  // cumulative log-probability
    SX_U32 depth[SX_MAX_CANDIDATES];  // 1 under the root
};

// The best children of a draft row, by (noisy) score.
struct SxChildren {
    SX_U32 token[SX_MAX_BRANCH];   // target ids
    SX_F32 logprob[SX_MAX_BRANCH]; // of softmax(draft logits / temperature) (temperature 1 when greedy)
};

#ifdef __STDC_VERSION__
typedef struct SxBatch SxBatch;
typedef struct SxRoute SxRoute;
typedef struct SxSettings SxSettings;
typedef struct SxSample SxSample;
typedef struct SxThought SxThought;
typedef struct SxResult SxResult;
typedef struct SxState SxState;
typedef struct SxTree SxTree;
typedef struct SxChildren SxChildren;
_Static_assert(sizeof(SxResult) <= 1024, "a cycle reads back at most 1 KiB");
#endif

#endif
