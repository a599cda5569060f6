// What fake_engine.c imports: a cycle's result that arrives after a while and wakes the worker, as a readback would.
mergeInto(LibraryManager.library, {
    fake_submit: function () {
        var gpu = Module['specexitGpu'];
        gpu.pending++;
        gpu.counters.submits++;
        gpu.counters.maps++;
        setTimeout(function () {
            gpu.pending--;
            gpu.arrived = (gpu.arrived || 0) + 1;
            gpu.wake();
        }, gpu.delay || 1);
    },
    fake_arrived: function () {
        var gpu = Module['specexitGpu'];
        if (!gpu.arrived) return 0;
        gpu.arrived--;
        return 1;
    },
});
