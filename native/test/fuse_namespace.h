// A name space in memory that answers name requests the way TypeScript does, so that a real mount can be
// tested without it. Data goes through the FileTable; sizes are settled at flush and fsync.
#pragma once

#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "fuse/session.h"
#include "stripes/file_table.h"
#include "test/stripes_support.h"

namespace ibexfs::test {

class TestNamespace {
 public:
  // Files are striped over targets 1 to 4. Takes FuseRequestEvents out of `sink`.
  TestNamespace(RoutingSink& sink, FileTable& files, ChunkClient& chunks, uint32_t owner = 0);
  ~TestNamespace();
  // Requests wait until this was called.
  void serve(FuseSession& session) {
    session_ = &session;
    session_.notify_all();
  }
  // Ends the thread that answers; requests that come later stay open.
  void stop();

  // Counters and switches that tests look at.
  std::map<uint16_t, int> seen();
  uint64_t settled_size(const std::string& name);  // of an entry of the root
  std::atomic<uint16_t> last_data_error{0};
  std::atomic<int> forgets{0};
  std::atomic<bool> closed{false};
  std::atomic<uint32_t> open_flags{0};  // FOPEN_* of the next opens
  std::atomic<uint32_t> stripe_bytes{64U << 10};
  std::atomic<int> refuse_pushes{0};  // the sink is full for so many pushes

 private:
  struct Inode {
    uint32_t mode = 0, links = 1, uid = 0, gid = 0;
    uint64_t size = 0;
    int64_t mtime_ns = 0;
    std::map<std::string, uint64_t> entries;
    std::string link_target;
    std::map<std::string, std::string> xattrs;
    FileId file = 0;
    int openings = 0;
  };
  struct Request {
    wire::FuseRequestEvent event;
    std::string name, second;
  };
  using Reply = wire::FuseReplyCommand;

  void run();
  void handle(const Request& request);
  void answer(const Request& request, Reply reply, Bytes data = {});
  void answer_error(const Request& request, int error);
  void answer_entry(const Request& request, uint64_t node);
  void fill_attributes(Reply& reply, uint64_t node);
  uint64_t make(const Request& request, uint32_t mode);
  FileId open_file(uint64_t node);
  void close_file(uint64_t node);
  void settle(uint64_t node);
  void cut(uint64_t node, uint64_t size);
  void set_attributes(const Request& request);
  void remove(const Request& request, bool folder);
  void rename(const Request& request);
  void list(const Request& request);
  void extended(const Request& request);
  void drop_if_unused(uint64_t node);

  RoutingSink& sink_;
  FileTable& files_;
  ChunkClient& chunks_;
  std::atomic<FuseSession*> session_{nullptr};
  std::mutex mutex_;  // of the queue; never held while a request is served
  std::condition_variable wake_;
  bool stopped_ = false;
  std::deque<Request> requests_;
  std::vector<std::function<void()>> when_room_;
  std::map<uint16_t, int> seen_;
  std::mutex inodes_mutex_;
  std::map<uint64_t, Inode> inodes_;
  uint64_t last_node_ = 1U << 20;
  std::thread thread_;
};

}  // namespace ibexfs::test
