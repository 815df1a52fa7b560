;;; starchat-edits.el --- Places and edits, as LSP has them  -*- lexical-binding: t; -*-

;; SPDX-License-Identifier: Apache-2.0

;;; Commentary:

;; Positions are lines and characters, both from 0.  Lines end as LSP says, by
;; LF, CR LF or CR, and a character is what Emacs calls one (UTF-32).

;;; Code:

(require 'url-util)

(defun starchat-apply-edits (edits)
  "Make EDITS in the current buffer, as one step of undo."
  (let ((places (mapcar (lambda (edit)
                          (let ((range (plist-get edit :range)))
                            (list (copy-marker (starchat-point (plist-get range :start)))
                                  (copy-marker (starchat-point (plist-get range :end)))
                                  (plist-get edit :newText))))
                        edits)))
    (undo-boundary)
    (atomic-change-group
      (save-excursion
        (save-restriction
          (widen)
          (pcase-dolist (`(,beginning ,end ,text) (reverse places))
            (goto-char beginning)
            (delete-region beginning end)
            (insert text)
            (set-marker beginning nil)
            (set-marker end nil)))))
    (undo-boundary)))

(defun starchat-point (position)
  "The buffer position of an LSP POSITION."
  (save-excursion
    (save-restriction
      (widen)
      (goto-char (point-min))
      (let ((line (plist-get position :line)))
        (when (and (> line 0) (not (re-search-forward "\r\n\\|[\r\n]" nil t line)))
          (goto-char (point-max))))
      (min (+ (point) (plist-get position :character)) (point-max)))))

(defun starchat-position (point)
  "The LSP position of POINT."
  (save-excursion
    (save-restriction
      (widen)
      (goto-char (point-min))
      (let ((line 0) (start (point-min)))
        (while (re-search-forward "\r\n\\|[\r\n]" point t)
          (setq line (1+ line) start (point)))
        (list :line line :character (- point start))))))

(defun starchat-range (beginning end)
  "The LSP range from BEGINNING to END."
  (list :start (starchat-position beginning) :end (starchat-position end)))

(defun starchat-region ()
  "Beginning and end of the region; where there is none, point twice."
  (if (use-region-p) (cons (region-beginning) (region-end)) (cons (point) (point))))

(defun starchat-text ()
  "All text of the current buffer."
  (save-restriction
    (widen)
    (buffer-substring-no-properties (point-min) (point-max))))

(defun starchat-uri ()
  "The URI of the current buffer."
  (if buffer-file-name (starchat-file-uri buffer-file-name)
    (concat "untitled:" (url-hexify-string (buffer-name)))))

(defun starchat-file-uri (file)
  "The URI of FILE."
  (concat "file://" (url-hexify-string (file-truename file) url-path-allowed-chars)))

(defun starchat-buffer-of (uri)
  "The buffer of URI; a file is visited."
  (if (string-prefix-p "file://" uri)
      (find-file-noselect (decode-coding-string (url-unhex-string (substring uri 7)) 'utf-8))
    (or (get-buffer (decode-coding-string (url-unhex-string (string-remove-prefix "untitled:" uri)) 'utf-8))
        (error "There is no buffer for %s" uri))))

(provide 'starchat-edits)
;;; starchat-edits.el ends here
