// One turn of a conversation, as templates render it and front ends give it.
#ifndef SX_TEXT_MESSAGE_H
#define SX_TEXT_MESSAGE_H

typedef enum sx_role { SX_ROLE_SYSTEM = 0, SX_ROLE_USER, SX_ROLE_ASSISTANT, SX_ROLE_TOOL } sx_role;

// Texts are borrowed, zero-terminated UTF-8; broken UTF-8 passes through.
typedef struct sx_message {
    sx_role role;
    const char *content;   // NULL = ""
    const char *reasoning; // an assistant's thinking without markers; NULL: none, or still inside `content`
} sx_message;

#endif
