// The functions that the wasm imports: reading a model's files and logging. Module.specexitSources maps a source's
// number to an object with readInto(offset, bytes), which fills the view and returns whether it could.
mergeInto(LibraryManager.library, {
    web_source_read: function (id, offset, destination, size) {
        var source = Module['specexitSources'].get(id);
        try {
            return source.readInto(offset, HEAPU8.subarray(destination >>> 0, (destination >>> 0) + (size >>> 0))) ? 1 : 0;
        } catch (error) {
            console.warn('specexit: reading the model: ' + error);
            return 0;
        }
    },
    web_log: function (line) {
        Module['specexitLog'](UTF8ToString(line));
    },
});
