#!/bin/sh
# Makes a folder with the desktop application that runs from anywhere, laid out as an AppDir (appimagetool makes one file
# of it): the program, its libraries but for those every desktop has, desktop entry and icon.
# Usage: app_folder.sh [BUILD_FOLDER [OUTPUT_FOLDER]]   (default: build/release, build/specexit-chat.AppDir)
set -eu
cd "$(dirname "$0")/.."
build=${1:-build/release} out=${2:-build/specexit-chat.AppDir}
[ -x "$build/bin/specexit-chat" ] || {
    echo "app_folder: $build/bin/specexit-chat is missing; build it first: cmake --preset release && cmake --build --preset release"
    exit 1
}
rm -rf "$out"
cmake --install "$build" --component programs --prefix "$out/usr" >/dev/null
mkdir -p "$out/usr/lib"
# The C library, the graphics drivers' side and what speaks to the desktop must be the machine's own.
ldd "$out/usr/bin/specexit-chat" | awk '$3 ~ /^\// {print $3}' | while read -r library; do
    case $(basename "$library") in
    libc.so* | libm.so* | libdl.so* | libpthread.so* | librt.so* | ld-linux* | libgcc_s.so* | libstdc++.so* | libvulkan.so* | \
        libGL* | libEGL* | libdrm* | libgbm* | libX* | libxcb* | libwayland* | libasound* | libpulse* | libdbus* | \
        libsystemd* | libudev* | libfontconfig.so*) ;;
    *) cp -L "$library" "$out/usr/lib/" ;;
    esac
done
cp frontends/chat/specexit-chat.desktop frontends/chat/specexit-chat.svg "$out/"
cat >"$out/AppRun" <<'RUN'
#!/bin/sh
here=$(dirname "$(readlink -f "$0")")
export LD_LIBRARY_PATH="$here/usr/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
exec "$here/usr/bin/specexit-chat" "$@"
RUN
chmod +x "$out/AppRun"
echo "$out: $(du -sh "$out" | cut -f1); run $out/AppRun"
