/* create_files FOLDER COUNT BYTES: creates COUNT files of BYTES bytes, one after the other. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  const long count = atol(argv[2]);
  const size_t bytes = (size_t)atol(argv[3]);
  char* data = malloc(bytes + 1);
  if (data == NULL) return 1;
  memset(data, 'x', bytes + 1);
  char path[4096];
  for (long i = 0; i < count; i++) {
    snprintf(path, sizeof(path), "%s/file.%ld", argv[1], i);
    const int fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0644);
    if (fd < 0) {
      perror(path);
      return 1;
    }
    if (bytes > 0 && write(fd, data, bytes) != (ssize_t)bytes) {
      perror(path);
      return 1;
    }
    if (close(fd) != 0) {
      perror(path);
      return 1;
    }
  }
  free(data);
  return 0;
}
