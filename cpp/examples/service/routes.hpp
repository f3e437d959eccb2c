#pragma once

#include "metrics.hpp"
#include "model_holder.hpp"
#include "options.hpp"

namespace httplib {
class Server;
}

namespace service {

/// Gives the server its routes and limits. The arguments must outlive it.
void add_routes(httplib::Server& server, ModelHolder& holder, Metrics& metrics, const Options& options);

}  // namespace service
