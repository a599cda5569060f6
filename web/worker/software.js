// Adapters that compute on the CPU: browsers tell it of their own fallback, not of all such drivers.
export function isFallback(adapter) {
    return Boolean(adapter.info?.isFallbackAdapter ?? adapter.isFallbackAdapter);
}

export function isSoftware(adapter) {
    const { device, description, architecture } = adapter.info ?? {};
    return isFallback(adapter) || /swiftshader|llvmpipe|warp/i.test([device, description, architecture].join(' '));
}
