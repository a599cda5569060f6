// Conversations and settings in one SQLite file, written as they happen (write-ahead log: a kill loses nothing that was
// saved). Where the file cannot be used the store goes on in memory and says so; the file itself is left alone.
#ifndef CHAT_STORE_H
#define CHAT_STORE_H

#include "state.h"

typedef struct chat_store chat_store;

// Never NULL. `problem` receives a sentence when the file is damaged, locked, newer than this program or not writable.
// `path` NULL: in memory. A readable file that cannot be written is shown; changes to it then stay in memory.
chat_store *chat_store_open(const char *path, fe_text *problem);
void chat_store_close(chat_store *store);
bool chat_store_is_saving(const chat_store *store); // false: in memory

// Appends every conversation, newest first, without its messages.
void chat_store_list(chat_store *store, chat_state *state);
void chat_store_load(chat_store *store, chat_conversation *conversation);
// Writes what is dirty. False, with a sentence, when the disk refuses; everything stays dirty for the next try.
bool chat_store_save(chat_store *store, chat_conversation *conversation, fe_text *problem);
// Writes what came to a reply since it was last written, and no more: for every frame, where chat_store_save would
// write the whole message again. The whole is written where something else than its end has changed.
bool chat_store_save_reply(chat_store *store, chat_conversation *conversation, uint32_t reply, fe_text *problem);
void chat_store_delete(chat_store *store, const chat_conversation *conversation);
// Sets `matches` of every conversation whose title or a message holds `needle`.
void chat_store_search(chat_store *store, chat_state *state, const char *needle);

void chat_store_read_settings(chat_store *store, chat_settings *settings);
void chat_store_write_settings(chat_store *store, const chat_settings *settings);
// Of the model file at `path`, "": the bundled one. False, and `model` as it was: nothing was ever written for it.
bool chat_store_read_model(chat_store *store, const char *path, chat_model_settings *model);
void chat_store_write_model(chat_store *store, const char *path, const chat_model_settings *model);

#endif
