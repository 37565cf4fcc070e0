// The sending half of a TCP connection. One thread at a time writes; the others leave their frames in the queue
// and the writer takes them along. No system call and nobody else's code runs under the mutex.
#include <sys/socket.h>
#include <sys/uio.h>

#include <cerrno>
#include <utility>

#include "transport/frame.h"
#include "transport/pipe_pool.h"
#include "transport/tcp_connection.h"

namespace ibexfs {
namespace {

// What one call writes at most, before the descriptor of the next connection, or the caller, gets its turn.
constexpr size_t kWriteBytesMax = 8U << 20;

}  // namespace

void TcpConnection::send(OutgoingFrame frame, Flush flush) {
  seal_header(frame.header, frame.body.bytes().size(), frame.pipe ? frame.pipe->bytes() : frame.data.size());
  Lock lock(mutex_);
  if (state_ == State::kClosing || state_ == State::kClosed) return;
  queue_.push(std::move(frame));
  bytes_queued_.store(queue_.bytes(), std::memory_order_relaxed);
  if (queue_.bytes() > limits_.send_queue_bytes_max && write_error_ == 0) {
    write_error_ = ENOBUFS;
    reactor_.post([me = self()] { me->write_failed(); });
  }
  if (flush == Flush::kNow) {
    write_queue(lock);
  } else if (flush == Flush::kLater) {
    request_flush(lock);
  }
}

void TcpConnection::flush() {
  Lock lock(mutex_);
  write_queue(lock);
}

void TcpConnection::request_flush(Lock& lock) {
  if (std::exchange(flush_requested_, true)) return;
  lock.unlock();
  auto task = [me = self()] {
    Lock task_lock(me->mutex_);
    me->flush_requested_ = false;
    me->write_queue(task_lock);
  };
  if (reactor_.in_driving_thread()) {
    reactor_.at_round_end(std::move(task));
  } else {
    reactor_.post(std::move(task));
  }
}

bool TcpConnection::can_write() const {
  return (state_ == State::kOpen || state_ == State::kClosing) && connected_ && !blocked_ && write_error_ == 0 && !queue_.empty();
}

void TcpConnection::write_queue(Lock& lock) {
  if (writing_ || !can_write()) return;
  writing_ = true;
  SendQueue::Batch batch;
  size_t left_bytes = kWriteBytesMax;
  for (;;) {
    if (can_write()) {
      queue_.gather(batch);
      write_batch(lock, batch);
      if (left_bytes <= batch.bytes) {
        blocked_ = interest_stale_ = true;  // epoll will say at once that there is room
      } else {
        left_bytes -= batch.bytes;
      }
    } else if (!sent_.empty()) {
      lock.unlock();
      sent_.clear();
      lock.lock();
    } else {
      break;
    }
  }
  writing_ = false;
  after_writing(lock);
}

// Leaves in batch.bytes what was written.
void TcpConnection::write_batch(Lock& lock, SendQueue::Batch& batch) {
  const int socket = socket_.get();
  lock.unlock();
  sent_.clear();
  ssize_t written;
  do {
    if (batch.pipe != nullptr) {
      written = batch.pipe->drain_to_socket(socket, batch.bytes, false);
    } else {
      msghdr message{};
      message.msg_iov = batch.parts.data();
      message.msg_iovlen = batch.count;
      written = sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT | (batch.pipe_follows ? MSG_MORE : 0));
    }
  } while (written < 0 && errno == EINTR);
  const int error = errno;
  lock.lock();
  const size_t wanted = batch.bytes;
  batch.bytes = 0;
  if (written > 0) {
    batch.bytes = static_cast<size_t>(written);
    queue_.consume(batch.bytes, sent_);
    reactor_.socket_bytes().sent.fetch_add(batch.bytes, std::memory_order_relaxed);
    bytes_queued_.store(queue_.bytes(), std::memory_order_relaxed);
    // A pipe gives what one of its pages holds at a time; memory is cut short only by a full socket.
    if (batch.bytes < wanted && batch.pipe == nullptr) blocked_ = interest_stale_ = true;
  } else if (written < 0 && error == EAGAIN) {
    blocked_ = interest_stale_ = true;
  } else {
    write_error_ = written < 0 ? error : EPIPE;
    reactor_.post([me = self()] { me->write_failed(); });
  }
}

void TcpConnection::after_writing(Lock& lock) {
  if (state_ == State::kClosed) {
    // It closed while we wrote, and left the rest to us.
    std::vector<OutgoingFrame> dropped;
    queue_.take_all(dropped);
    bytes_queued_ = 0;
    UniqueFd socket = std::move(socket_);
    lock.unlock();
    dropped.clear();
    socket.reset();
    lock.lock();
    return;
  }
  const bool interest_stale = interest_stale_;
  const bool sent_all = state_ == State::kClosing && queue_.empty();
  const bool room_again = reading_held_back_ && queue_.bytes() <= limits_.send_queue_pause_bytes / 2;
  if (room_again) reading_held_back_ = false;
  if (!interest_stale && !sent_all && !room_again) return;
  lock.unlock();
  if (interest_stale) {
    if (reactor_.in_driving_thread()) {
      update_interest();
    } else {
      reactor_.post([me = self()] { me->update_interest(); });
    }
  }
  if (sent_all) reactor_.post([me = self()] { me->finish_sending(); });
  if (room_again) post_continue();
  lock.lock();
}

void TcpConnection::write_failed() {
  int error;
  {
    const Lock lock(mutex_);
    error = write_error_;
  }
  if (state_ == State::kClosed) return;
  if (error == ENOBUFS && bytes_queued() > limits_.send_queue_bytes_max) {
    fail(
        {StatusCode::kOverloaded, name() + ": the peer takes nothing, " + std::to_string(bytes_queued()) + " bytes wait for it"});
    return;
  }
  // What the peer said before it went may tell more than the error does.
  if (state_ == State::kOpen && may_read()) read_frames();
  fail(why_ended());
}

}  // namespace ibexfs
