// What the desktop application costs: start to first frame, frames while generating, while a long reply streams in and
// while scrolling a long conversation, CPU when idle, memory. Drives the application itself, turn by turn, on whatever
// SDL_VIDEODRIVER names (Xvfb and x11 for figures; dummy for the test).
//
//     LP_NUM_THREADS=1 xvfb-run -s "-screen 0 1280x800x24" chat_bench    # leaves a core, as a GPU would
//     SDL_VIDEODRIVER=dummy chat_bench --soak                            # the memory test alone
//     SDL_VIDEODRIVER=dummy chat_bench --drawing                         # streaming, scrolling and typing, without an
//     engine
//
// A frame's time is what passes from waking up to the frame's being shown: how long the window does not react. Its CPU
// time is the thread's own since the frame before, so that other work on the machine does not count.
#include "actions.h"
#include "app.h"
#include "view.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum { FRAME_LIMIT = 20000, SOAK_PASSES = 3 };

static double thread_seconds(void)
{
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static double process_seconds(void)
{
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static size_t resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    unsigned long size = 0, resident = 0;
    if (file && fscanf(file, "%lu %lu", &size, &resident) != 2) resident = 0;
    if (file) fclose(file);
    return (size_t)resident * 4096;
}

// ---- Frames measured -----------------------------------------------------------------------------------------------

typedef struct frames {
    double wall[FRAME_LIMIT], cpu[FRAME_LIMIT];
    unsigned count;
    double begun, cpu_begun;
} frames;

static void frames_begin(frames *f)
{
    f->count = 0;
    f->begun = app_clock();
    f->cpu_begun = thread_seconds();
}

static void frames_take(frames *f, const chat_app *app)
{
    double cpu = thread_seconds();
    if (f->count < FRAME_LIMIT) {
        f->wall[f->count] = app->frame_seconds;
        f->cpu[f->count++] = cpu - f->cpu_begun;
    }
    f->cpu_begun = cpu;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double quantile(double *values, unsigned count, double share)
{
    if (count == 0) return 0;
    qsort(values, count, sizeof *values, ascending);
    return values[(unsigned)((count - 1) * share + 0.5)];
}

static void frames_print(frames *f, const char *what)
{
    double rate = f->count / (app_clock() - f->begun);
    printf("%-22s %5u frames, %.0f a second   wall median %5.1f  p99 %5.1f ms   cpu median %5.1f  p99 %5.1f ms\n", what,
           f->count, rate, 1e3 * quantile(f->wall, f->count, 0.5), 1e3 * quantile(f->wall, f->count, 0.99),
           1e3 * quantile(f->cpu, f->count, 0.5), 1e3 * quantile(f->cpu, f->count, 0.99));
}

// ---- What is shown -------------------------------------------------------------------------------------------------

static const char *const answers[] = {
    "The answer is **13**. Both sums agree, and the remainder is zero.\n",
    "## Sorting\n\nThere are *three* ways to do it, in order of cost:\n\n1. insert each where it belongs, which is "
    "fine "
    "for short lists\n2. divide, sort the halves, merge them: `O(n log n)` whatever the input\n3. count, where the "
    "keys are small integers\n\n> The second is what most libraries do.\n\nSee <https://example.org/sorting> for the "
    "proofs.\n",
    "```c\nstatic int ascending(const void *a, const void *b)\n{\n    double x = *(const double *)a, y = *(const "
    "double "
    "*)b;\n    return (x > y) - (x < y);\n}\n```\n\nIt compares without subtracting, so it cannot overflow.\n",
    "| format | bits | error |\n|---|--:|--:|\n| F16 | 16 | 0.0004 |\n| Q8_0 | 8.5 | 0.003 |\n| Q4_K | 4.5 | 0.05 "
    "|\n\nThe error is that of a dot product of 4,096 random values, relative to its norm; what it does to the text is "
    "another question, and depends on the model more than on the format.\n",
    "Ein Satz mit Umlauten wie ä, ö und ü, 日本語の文字が混ざった文, and a long paragraph of plain words that wraps a "
    "few times, because most of what a model says is neither code nor table but simply text, line after line of it, "
    "and what counts is that it can be read without effort while it is still being written.\n",
};

static void add_exchange(chat_conversation *conversation, uint32_t number)
{
    char text[128];
    int32_t last = chat_path_last(conversation);
    chat_message *question = chat_add_message(conversation, last, SX_ROLE_USER);
    snprintf(text, sizeof text, "Question %u: what would you do about this, and why?", number);
    fe_text_add(&question->content, text);
    question->complete = true;
    chat_message *answer = chat_add_message(conversation, (int32_t)conversation->count - 1, SX_ROLE_ASSISTANT);
    snprintf(text, sizeof text, "%u. ", number);
    fe_text_add(&answer->content, answers[number % 5]);
    fe_text_add(&answer->content, "\n");
    fe_text_add(&answer->content, text);
    fe_text_add(&answer->content, answers[(number / 5 + 1) % 5]);
    fe_text_add(&answer->thinking, "First the parts, then the whole.\n\nSo the parts agree, and so does the whole.");
    answer->left = answer->complete = true;
    answer->thinking_tokens = 20;
    answer->tokens = 90;
    snprintf(answer->exit_sentence, sizeof answer->exit_sentence, "left early: 91 %% confident");
}

static void turn_until_frame(chat_app *app)
{
    app->redraw = true;
    while (!app_turn(app) && !app->quit)
        continue;
}

static void fill(chat_app *app, uint32_t messages)
{
    app_new(app);
    for (uint32_t i = 0; i < messages / 2; i++)
        add_exchange(app->state.current, i);
    turn_until_frame(app);
}

static void push_wheel(const chat_app *app, int notches)
{
    SDL_Event event = {.wheel = {.type = SDL_MOUSEWHEEL,
                                 .windowID = SDL_GetWindowID(app->window),
                                 .y = notches,
                                 .preciseY = (float)notches}};
    SDL_PushEvent(&event);
}

// Scrolls from the end to the start and back, `notches` a frame; returns the frames it took.
static unsigned scroll_through(chat_app *app, frames *f, int notches)
{
    unsigned count = 0;
    SDL_Rect area = app->transcript; // the pointer is over the conversation, not over the side bar
    app->draw.mouse_x = area.x + area.w / 2;
    app->draw.mouse_y = area.y + area.h / 2;
    for (int direction = 1; direction >= -1; direction -= 2) {
        do {
            push_wheel(app, direction * notches);
            turn_until_frame(app);
            if (f) frames_take(f, app);
            count++;
        } while (!app->quit && (direction > 0 ? app->column.scrolled > 0 : !app->column.follow));
    }
    return count;
}

// ---- Measurements --------------------------------------------------------------------------------------------------

static void wait_loaded(chat_app *app)
{
    while (!app->quit && app->link.phase == LINK_LOADING)
        app_turn(app);
}

static uint32_t wake(uint32_t interval, void *user)
{
    (void)interval, (void)user;
    SDL_PushEvent(&(SDL_Event){.type = SDL_USEREVENT});
    return 0;
}

static void measure_idle(chat_app *app)
{
    enum { SECONDS = 4 };
    turn_until_frame(app);
    double cpu = process_seconds(), wall = app_clock();
    SDL_AddTimer(SECONDS * 1000, wake, NULL);
    app_turn(app);
    printf("%-22s %.2f %% of a core over %.1f s\n", "idle", 100 * (process_seconds() - cpu) / (app_clock() - wall),
           app_clock() - wall);
}

static void measure_generating(chat_app *app, frames *f)
{
    uint32_t tokens = 0;
    double begun = app_clock();
    chat_steer(&app->state, (chat_steering){.effort = 1}); // thinks as long as it wants: more frames
    app_new(app);
    frames_begin(f);
    for (unsigned i = 0; i < 3; i++) {
        app_ask(app, "Start at 18, add 7, subtract 2, subtract 11, add 9, subtract 5, add 1, subtract 9, add 7.");
        while (app->state.streaming && !app->quit)
            if (app_turn(app)) frames_take(f, app);
        tokens += app->state.current->messages[app->state.reply].tokens;
    }
    frames_print(f, "generating");
    printf("%-22s %.0f tokens a second\n", "", tokens / (app_clock() - begun));
}

// A reply of some thousand tokens, fed as the engine would, one token a frame.
static void measure_long_reply(chat_app *app, frames *f)
{
    enum { TOKENS = 1500, BYTES = 8 };
    app_new(app);
    uint32_t question = chat_say(&app->state, -1, "Tell me everything.", 1);
    chat_begin_reply(&app->state, question, app_clock());
    fe_text text = {0};
    for (unsigned i = 0; text.length < TOKENS * BYTES; i++)
        fe_text_add(&text, answers[i % 5]);
    sx_event exit = {.kind = SX_EVENT_EXIT, .exit_reason = SX_REASON_NATURAL};
    chat_apply_event(&app->state, &exit, app_clock());
    frames_begin(f);
    for (uint32_t i = 0; i < TOKENS; i++) {
        sx_event event = {.kind = SX_EVENT_TEXT,
                          .channel = SX_CHANNEL_ANSWER,
                          .text = text.data + i * BYTES,
                          .length = BYTES,
                          .first_token = i,
                          .token_count = 1};
        chat_apply_event(&app->state, &event, app_clock());
        turn_until_frame(app);
        frames_take(f, app);
    }
    chat_apply_event(&app->state, &(sx_event){.kind = SX_EVENT_DONE, .done_reason = SX_DONE_END_OF_TURN}, app_clock());
    fe_text_free(&text);
    frames_print(f, "long reply streaming");
}

static void measure_scrolling(chat_app *app, frames *f, uint32_t messages)
{
    double begun = app_clock();
    fill(app, messages);
    printf("%-22s %.0f ms\n", "opened at its end", 1e3 * (app_clock() - begun));
    frames_begin(f);
    scroll_through(app, f, 6);
    frames_print(f, "scrolling");
}

// Keys typed into the middle of what is in the composer: `bytes` of paragraphs of that length.
static void measure_typing(chat_app *app, frames *f, size_t bytes, size_t paragraph, const char *what)
{
    enum { KEYS = 40 };
    fe_text text = {0};
    for (size_t line = 0; text.length < bytes; line++) {
        fe_text_printf(&text, "word%zu ", line);
        if (text.length % paragraph < 8) fe_text_add(&text, "\n");
    }
    chat_input *composer = &app->fields[FIELD_COMPOSER];
    input_set(composer, text.data);
    fe_text_free(&text);
    input_move_to(composer, bytes / 2, false);
    turn_until_frame(app);
    frames_begin(f);
    for (unsigned i = 0; i < KEYS; i++) {
        SDL_PushEvent(&(SDL_Event){.text = {.type = SDL_TEXTINPUT, .text = "a"}});
        turn_until_frame(app);
        frames_take(f, app);
    }
    input_set(composer, "");
    frames_print(f, what);
}

// Memory after every pass from end to start and back: it must not grow after the first.
static int soak(chat_app *app, uint32_t messages)
{
    size_t first = 0, last = 0;
    fill(app, messages);
    for (unsigned pass = 0; pass < SOAK_PASSES; pass++) {
        unsigned frame_count = scroll_through(app, NULL, 18);
        malloc_trim(0);
        last = resident_bytes();
        if (pass == 0) first = last;
        printf("pass %u: %u frames, %.1f MB resident, %.1f MB allocated\n", pass, frame_count, 1e-6 * (double)last,
               1e-6 * (double)mallinfo2().uordblks);
        if (app->column.height < (int64_t)messages * 20 || frame_count < messages / 100) {
            printf("the conversation was not scrolled\n");
            return 1;
        }
    }
    bool flat = last < first + first / 20 + 2000000;
    printf("%s\n", flat ? "memory is flat" : "memory grows");
    return flat ? 0 : 1;
}

static int bench_drawing(chat_app *app, uint32_t messages)
{
    frames *f = fe_reallocate(NULL, 1, sizeof *f);
    measure_long_reply(app, f);
    measure_scrolling(app, f, messages);
    measure_typing(app, f, 100000, 400, "typing in 100 kB");
    measure_typing(app, f, 100000, SIZE_MAX, "the same, one line");
    free(f);
    return 0;
}

static int bench(chat_app *app, uint32_t messages)
{
    frames *f = fe_reallocate(NULL, 1, sizeof *f);
    bool ready = app->link.phase == LINK_READY;
    if (!ready) fprintf(stderr, "chat_bench: %s\n", app->link.error.message);
    if (ready) {
        printf("%-22s %.0f MB resident, of which the model %.0f MB\n", "memory, loaded",
               1e-6 * (double)resident_bytes(),
               1e-6 * (double)(app->link.info.weight_bytes + app->link.info.kv_bytes + app->link.info.scratch_bytes));
        measure_idle(app);
        measure_generating(app, f);
        measure_long_reply(app, f);
        measure_scrolling(app, f, messages);
        printf("%-22s %.0f MB resident\n", "memory, at the end", 1e-6 * (double)resident_bytes());
    }
    free(f);
    return ready ? 0 : 1;
}

int main(int count, char **arguments)
{
    double begun = app_clock();
    uint32_t messages = 2000;
    bool soaking = false, drawing = false;
    for (int i = 1; i < count; i++) {
        if (strcmp(arguments[i], "--soak") == 0) {
            soaking = true;
        } else if (strcmp(arguments[i], "--drawing") == 0) {
            drawing = true;
        } else if (strcmp(arguments[i], "--messages") == 0 && i + 1 < count) {
            messages = (uint32_t)strtoul(arguments[++i], NULL, 10);
        } else {
            fprintf(stderr, "Usage: chat_bench [--soak | --drawing] [--messages N]\n");
            return 2;
        }
    }
    app_options options = {.width = 1280, .height = 800, .theme = CHAT_THEME_LIGHT, .no_save = true};
    if (soaking || drawing) options.model = "/no/such/model.gguf"; // an engine's memory would only blur the picture
    chat_app *app = fe_reallocate(NULL, 1, sizeof *app);
    int result = 1;
    if (app_open(app, &options)) {
        printf("%-22s %.0f ms (%dx%d, %s)\n", "first frame after", 1e3 * (app->first_frame_at - begun), app->width,
               app->height, SDL_GetCurrentVideoDriver());
        wait_loaded(app);
        result = soaking ? soak(app, messages) : drawing ? bench_drawing(app, messages) : bench(app, messages);
    }
    app_close(app);
    free(app);
    return result;
}
