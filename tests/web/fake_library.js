// What fake_engine.c imports: a wake-up that comes with the next message of a channel, as a readback's promise would.
mergeInto(LibraryManager.library, {
    fake_wake: function () {
        var gpu = Module['specexitGpu'];
        gpu.pending++;
        gpu.counters.submits++;
        gpu.counters.maps++;
        setTimeout(function () {
            gpu.pending--;
            gpu.wake();
        }, gpu.delay || 1);
    },
});
