// A GGUF file as everything that reads one sees it: a target, a draft, a signal head.
#include "model/draft.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const sx_source source = sx_source_memory("fuzz.gguf", data, size);
    const sx_source *sources[] = {&source};
    sx_model_files *files;
    sx_error error;
    if (sx_model_files_from_sources(sources, 1, &files, &error) == SX_OK) {
        sx_hparams hparams;
        sx_target_weights weights = {0};
        if (sx_hparams_read(files, &hparams, &error) == SX_OK) {
            sx_target_weights_find(files, &hparams, &weights, &error);
            sx_target_weights_free(&weights);
        }
        sx_model_files_close(files);
    }
    const sx_draft_options options = {.single_signal = SX_DRAFT_SIGNAL_CONFIDENCE};
    sx_draft *draft;
    if (size && sx_draft_from_sources(sources, 1, &options, &draft, &error) == SX_OK) sx_draft_close(draft);
    sx_signal_head *head;
    if (sx_signal_head_from_source(&source, &options, &head, &error) == SX_OK) sx_signal_head_close(head);
    return 0;
}
