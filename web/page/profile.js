// The scale from "think little" to "think long": the rules of a profile that `specexit calibrate` wrote for the model.

let stops = []; // [{ options, text }], the last as long as the model wants

// Reads the text with the model, which must be the profile's. Throws, with the scale gone, when it is not.
export async function takeProfile(model, text) {
    stops = [];
    if (!text) return;
    const { chosen, levels, fullAccuracy, fullTokens } = await model.readProfile(text);
    const rules = levels.map((rule, i) => ({ rule, name: `Level ${i + 1} of ${levels.length}` }));
    if (chosen) rules.push({ rule: chosen, name: 'As chosen when it was calibrated' });
    rules.sort((a, b) => a.rule.tokens - b.rule.tokens);
    stops = rules.map(({ rule, name }) => ({ options: rule.options, chosen: rule === chosen, text: `${name}: ${outcome(rule.accuracy, rule.tokens)}` }));
    stops.push({ options: { policy: 'none' }, text: `As long as it wants: ${outcome(fullAccuracy, fullTokens)}` });
}

function outcome(accuracy, tokens) {
    return `about ${Math.round(tokens)} tokens of thinking, ${(100 * accuracy).toFixed(0)} % right`;
}

export const scale = () => stops;

// The stop at that place; null: what was chosen, else the middle.
export function stopAt(place) {
    if (!stops.length) return null;
    return stops[place ?? usualPlace()] ?? stops.at(-1);
}

export function usualPlace() {
    const chosen = stops.findIndex((stop) => stop.chosen);
    return chosen >= 0 ? chosen : Math.floor((stops.length - 1) / 2);
}
