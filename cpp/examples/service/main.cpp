// A recommendation service over HTTP: docs/service.md.

#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <thread>

#include <httplib.h>

#include "metrics.hpp"
#include "model_holder.hpp"
#include "options.hpp"
#include "routes.hpp"

namespace service {
namespace {

/// The signals that this program waits for instead of being interrupted by them.
sigset_t awaited() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGHUP, SIGINT, SIGTERM}) sigaddset(&signals, signal);
  return signals;
}

/// How long a shutdown waits for the connections that are served.
constexpr std::chrono::seconds kMostShutdown{15};

/// Stops the server, which answers what it has begun. httplib forgets a stop that comes before it listens, and one that
/// a slow client delays has an end.
void stop(httplib::Server& server, const std::atomic<bool>& has_ended) {
  const auto last = std::chrono::steady_clock::now() + kMostShutdown;
  bool told = false;
  while (!has_ended) {
    if (!told && server.is_running()) {
      server.stop();
      told = true;
    }
    if (std::chrono::steady_clock::now() > last) {
      std::fprintf(stderr, "some connections were still open %d s after the signal\n",
                   static_cast<int>(kMostShutdown.count()));
      std::_Exit(1);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

/// Reloads at SIGHUP; at SIGTERM and SIGINT stops the server.
void obey_signals(httplib::Server& server, ModelHolder& holder, const std::atomic<bool>& has_ended) {
  const sigset_t signals = awaited();
  while (true) {
    int signal = 0;
    if (sigwait(&signals, &signal) != 0) continue;
    if (signal != SIGHUP) break;
    try {
      std::fprintf(stderr, "reloaded: %s\n", holder.reload()->file().checksum().c_str());
    } catch (const std::exception& error) {
      std::fprintf(stderr, "not reloaded, the model in use stays: %s\n", error.what());
    }
  }
  stop(server, has_ended);
}

/// Not SO_REUSEPORT, which httplib sets: two services on one port would share its requests.
void set_socket_options(socket_t socket) {
  const int yes = 1;
  setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
}

int run(const Options& options) {
  const sigset_t signals = awaited();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);  // before the first thread: all of them inherit it
  Metrics metrics;
  ModelHolder holder(options.model_path, metrics);

  httplib::Server server;
  server.new_task_queue = [&options] { return new httplib::ThreadPool(static_cast<std::size_t>(options.n_workers)); };
  server.set_socket_options(set_socket_options);
  // A worker belongs to a connection: after so many answers the client connects again, behind those that wait.
  server.set_keep_alive_max_count(100);
  server.set_keep_alive_timeout(2);  // seconds; a worker waits so long for a client's next request
  server.set_read_timeout(5);
  server.set_write_timeout(5);
  server.set_tcp_nodelay(true);
  add_routes(server, holder, metrics, options);

  errno = 0;
  const int port = options.port == 0                                 ? server.bind_to_any_port(options.host)
                   : server.bind_to_port(options.host, options.port) ? options.port
                                                                     : -1;
  if (port < 0) {
    const int error = errno;
    throw std::runtime_error("cannot listen on " + options.host + ":" + std::to_string(options.port) +
                             (error != 0 ? std::string(": ") + std::strerror(error) : ""));
  }
  std::printf("listening on http://%s:%d\n", options.host.c_str(), port);
  std::fflush(stdout);
  std::atomic<bool> has_ended = false;
  std::thread signal_thread([&] { obey_signals(server, holder, has_ended); });
  const bool was_stopped = server.listen_after_bind();
  has_ended = true;
  if (!was_stopped) std::fprintf(stderr, "the socket failed\n");
  kill(getpid(), SIGTERM);  // blocked: ends the thread that waits, if it still does
  signal_thread.join();
  return was_stopped ? 0 : 1;
}

}  // namespace
}  // namespace service

int main(int argc, char** argv) {
  try {
    const service::Options options = service::parse(argc, argv);
    if (options.help) {
      std::fputs(service::kUsage, stdout);
      return 0;
    }
    return service::run(options);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "matfac_service: %s\n", error.what());
    return 2;
  }
}
