# What `npm install` builds. The list of sources is native/sources.json, shared with native/CMakeLists.txt.
{
  "targets": [
    {
      "target_name": "ibexfs",
      "sources": [
        "<!@(node -p \"const s = require('./native/sources.json'); [...s.library, ...s.addon].map((path) => 'native/' + path).join(' ')\")"
      ],
      "include_dirs": ["native"],
      "defines": ["NAPI_VERSION=9", "NAPI_DISABLE_CPP_EXCEPTIONS"],
      "cflags_cc!": ["-std=gnu++17"],
      "cflags_cc": ["-std=gnu++20", "-fno-exceptions", "-fno-rtti", "-fvisibility=hidden", "-O2", "-Wall", "-Wextra", "-Wshadow", "-Werror",
                    "-isystem", "<!(node -p \"require('path').resolve(require('node-addon-api').include_dir)\")"],
      "cflags!": ["-Wno-unused-parameter"],
      "ldflags": ["-static-libstdc++", "-static-libgcc", "-Wl,--as-needed", "-Wl,--exclude-libs,ALL"],
      "libraries": ["-ldl", "-lpthread"]
    }
  ]
}
