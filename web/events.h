// The structs of specexit.h as JSON: its fields in camelCase, its enumerations by their names.
#ifndef WEB_EVENTS_H
#define WEB_EVENTS_H

#include "common/json_writer.h"
#include "specexit.h"

// {"stage":"uploading","fraction":0.5,"bytesLoaded":1,"bytesTotal":2}
void web_write_progress(json_writer *json, const sx_load_progress *progress);
// All of sx_engine_info; `signals` is a list of names.
void web_write_info(json_writer *json, const sx_engine_info *info);
void web_write_profile(json_writer *json, const sx_profile *profile, bool other_format);
// {"kind":"text","channel":"answer","text":"...","firstToken":3,"tokens":[5,6]}
// {"kind":"signals","tokenIndex":7,"boundary":true,"raw":{"confidence":..,"progress":..,"remain":..},"smoothed":{..},"margin":-3,"entropy":1}
//     (`raw` and `smoothed` are absent where the model has no signals)
// {"kind":"exit","reason":"signals","sentence":"left early: ...", and the fields of "signals"}
// {"kind":"prefill","done":32,"total":64}
// {"kind":"done","reason":"end-of-turn"}
// Each but "signals" with "stats": sx_stats so far.
void web_write_event(json_writer *json, const sx_event *event);

#endif
