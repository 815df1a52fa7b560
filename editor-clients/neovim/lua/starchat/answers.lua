--- Answers to read: scratch buffers of Markdown that grow while the model writes.
local M = {}

--- The URI of the last answer.
M.last = nil ---@type string?

local buffers = {} ---@type table<string, integer>

local buffer_of, window_of_answers

function M.is_answer(uri)
  return vim.startswith(uri, "starchat:")
end

--- Show an answer in a window of its own, or in that of the answer before; the cursor stays where it is.
function M.show(client, uri, focus)
  M.last = uri
  local buffer = buffer_of(uri)
  local window = window_of_answers()
  if window then
    vim.api.nvim_win_set_buf(window, buffer)
  else
    window = vim.api.nvim_open_win(buffer, false, { split = "below", win = 0, height = math.floor(vim.o.lines / 3) })
    vim.wo[window].wrap, vim.wo[window].linebreak, vim.wo[window].number, vim.wo[window].conceallevel = true, true, false, 2
  end
  if focus then
    vim.api.nvim_set_current_win(window)
  end
  M.refresh(client, uri)
end

--- Ask for the text anew, and show it.
function M.refresh(client, uri)
  local buffer = buffers[uri]
  if not (client and buffer and vim.api.nvim_buf_is_valid(buffer)) then
    return
  end
  client:request("workspace/textDocumentContent", { uri = uri }, function(_, content)
    if content and vim.api.nvim_buf_is_valid(buffer) then
      vim.bo[buffer].modifiable = true
      vim.api.nvim_buf_set_lines(buffer, 0, -1, false, vim.split(content.text, "\n"))
      vim.bo[buffer].modifiable = false
    end
  end)
end

function buffer_of(uri)
  if not (buffers[uri] and vim.api.nvim_buf_is_valid(buffers[uri])) then
    local buffer = vim.api.nvim_create_buf(false, true)
    vim.api.nvim_buf_set_name(buffer, (uri:gsub("^starchat:/*", "starchat://")))
    vim.bo[buffer].filetype = "markdown"
    vim.keymap.set("n", "q", "<Cmd>close<CR>", { buffer = buffer, desc = "Close this answer" })
    buffers[uri] = buffer
  end
  return buffers[uri]
end

function window_of_answers()
  for _, window in ipairs(vim.api.nvim_tabpage_list_wins(0)) do
    if vim.tbl_contains(vim.tbl_values(buffers), vim.api.nvim_win_get_buf(window)) then
      return window
    end
  end
end

return M
